import { Inject, Injectable, type OnApplicationBootstrap, UnprocessableEntityException } from '@nestjs/common';
import { ClientKafka } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';
import { DataSource } from 'typeorm';
import { v7 as uuid } from 'uuid';
import { env } from '../common/config.js';
import { nowMicros, orderCreated } from '../common/events.js';
import { Order, OrderItem, Product } from '../common/order.entities.js';
import type { CreateOrderDto } from './create-order.dto.js';

@Injectable()
export class OrderService implements OnApplicationBootstrap {
  /** Prices by merchant, loaded when first asked for. */
  private readonly prices = new Map<number, Promise<Map<number, Product>>>();

  constructor(
    private readonly dataSource: DataSource,
    @Inject('KAFKA') private readonly kafka: ClientKafka,
  ) {}

  async onApplicationBootstrap() {
    await this.kafka.connect();
  }

  async create(dto: CreateOrderDto): Promise<Order> {
    const products = await this.productsOf(dto.merchant_id);
    let total = 0;
    let currency = '';
    const items = dto.items.map(({ product_id, quantity }) => {
      const product = products.get(product_id);
      if (!product) throw new UnprocessableEntityException(`merchant ${dto.merchant_id} has no product ${product_id}`);
      total += product.price_minor * quantity;
      currency = product.currency;
      return { product_id, quantity, unit_price_minor: product.price_minor };
    });
    const { merchant_id, customer_id } = dto;
    const row = { id: uuid(), merchant_id, customer_id, currency, total_minor: total, status: 'pending' };
    // Not save(): with an id that is known beforehand it would look for the row first.
    const order = await this.dataSource.transaction(async (em) => {
      const created = await em.insert(Order, row);
      await em.insert(OrderItem, items.map((item) => ({ ...item, order_id: row.id })));
      return { ...row, ...created.generatedMaps[0], items } as Order;
    });
    const event = {
      order_id: order.id,
      merchant_id: order.merchant_id,
      customer_id: order.customer_id,
      customer_email: null,
      currency,
      lines: items,
      total_minor: total,
      placed_at: nowMicros(),
      request_hash: null,
    };
    // Keyed by merchant, so that one merchant's orders stay in order and never wait for each other's rows.
    await lastValueFrom(
      this.kafka.emit(env.ordersTopic, { key: String(order.merchant_id), value: orderCreated.encode(event) }),
    );
    return order;
  }

  private productsOf(merchant_id: number): Promise<Map<number, Product>> {
    let products = this.prices.get(merchant_id);
    if (!products) {
      products = this.dataSource.manager
        .findBy(Product, { merchant_id })
        .then((found) => new Map(found.map((product) => [product.id, product])));
      products.catch(() => this.prices.delete(merchant_id));
      this.prices.set(merchant_id, products);
    }
    return products;
  }
}
