import { Column, Entity, PrimaryColumn } from 'typeorm';

/** A bigint comes from the driver as text. */
const number = { to: (value: number) => value, from: Number };

@Entity('ingredients')
export class Ingredient {
  @PrimaryColumn('int') merchant_id: number;
  @PrimaryColumn('int') id: number;
  @Column('varchar') name: string;
  @Column('varchar') unit: string;
  @Column('bigint', { transformer: number }) stock: number;
  @Column('bigint', { transformer: number }) full_level: number;
  @Column('int') threshold_pct: number;
  @Column('boolean', { default: false }) notified: boolean;
  @Column('varchar') merchant_name: string;
  @Column('varchar') recipients: string;
}

@Entity('recipe_lines')
export class RecipeLine {
  @PrimaryColumn('int') merchant_id: number;
  @PrimaryColumn('int') product_id: number;
  @PrimaryColumn('int') ingredient_id: number;
  @Column('int') amount: number;
}

@Entity('processed_orders')
export class ProcessedOrder {
  @PrimaryColumn('uuid') id: string;
  @Column('int') merchant_id: number;
  @Column('int') customer_id: number;
  @Column('varchar', { nullable: true }) customer_email: string | null;
  @Column('varchar', { length: 3 }) currency: string;
  @Column('int') total_minor: number;
  @Column('varchar', { length: 16 }) status: 'confirmed' | 'rejected';
  @Column('jsonb') lines: object[];
  @Column('timestamptz') placed_at: Date;
}
