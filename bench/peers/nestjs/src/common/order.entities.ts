import { Column, CreateDateColumn, Entity, Index, JoinColumn, ManyToOne, OneToMany, PrimaryColumn, PrimaryGeneratedColumn, type Relation } from 'typeorm';

@Entity('products')
export class Product {
  @PrimaryColumn('int') merchant_id: number;
  @PrimaryColumn('int') id: number;
  @Column('int') price_minor: number;
  @Column('varchar', { length: 3 }) currency: string;
}

@Entity('orders')
export class Order {
  @PrimaryColumn('uuid') id: string;
  @Column('int') merchant_id: number;
  @Column('int') customer_id: number;
  @Column('varchar', { length: 3 }) currency: string;
  @Column('int') total_minor: number;
  @Column('varchar', { length: 16, default: 'pending' }) status: string;
  @CreateDateColumn({ type: 'timestamptz' }) created_at: Date;
  @OneToMany(() => OrderItem, (item) => item.order, { cascade: ['insert'] }) items: Relation<OrderItem[]>;
}

@Entity('order_items')
export class OrderItem {
  @PrimaryGeneratedColumn() id: number;
  @Index() @Column('uuid') order_id: string;
  @Column('int') product_id: number;
  @Column('int') quantity: number;
  @Column('int') unit_price_minor: number;
  @ManyToOne(() => Order, (order) => order.items, { onDelete: 'CASCADE' })
  @JoinColumn({ name: 'order_id' })
  order?: Relation<Order>;
}
