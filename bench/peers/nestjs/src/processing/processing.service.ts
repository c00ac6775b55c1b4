import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { ClientKafka } from '@nestjs/microservices';
import { lastValueFrom } from 'rxjs';
import { DataSource, type EntityManager, In } from 'typeorm';
import { v7 as uuid } from 'uuid';
import { env } from '../common/config.js';
import { notify, nowMicros, orderConfirmed, type OrderCreated, stockRejected, topics } from '../common/events.js';
import { Ingredient, ProcessedOrder, RecipeLine } from '../common/processing.entities.js';

class InsufficientStock extends Error {}

/** What an update says of the row it changed; bigints are text. */
type Taken = Pick<Ingredient, 'id' | 'threshold_pct' | 'notified'> & { stock: string; full_level: string };

const TAKEN = ['id', 'stock', 'full_level', 'threshold_pct', 'notified'];

@Injectable()
export class ProcessingService implements OnApplicationBootstrap {
  /** By product: which ingredient, how much. */
  private readonly recipes = new Map<number, RecipeLine[]>();

  constructor(
    private readonly dataSource: DataSource,
    @Inject('KAFKA') private readonly kafka: ClientKafka,
  ) {}

  async onApplicationBootstrap() {
    for (const line of await this.dataSource.manager.find(RecipeLine)) {
      const recipe = this.recipes.get(line.product_id);
      if (recipe) recipe.push(line);
      else this.recipes.set(line.product_id, [line]);
    }
    await this.kafka.connect();
  }

  async process(order: OrderCreated): Promise<void> {
    const need = this.requirements(order);
    let low: { row: Ingredient; amount: number }[];
    try {
      low = await this.dataSource.transaction((em) => this.deduct(em, order, need));
    } catch (err) {
      if (!(err instanceof InsufficientStock)) throw err; // kafkajs repeats the batch
      await this.store(this.dataSource.manager, order, 'rejected');
      await this.reject(order, need);
      return;
    }
    const key = String(order.merchant_id);
    const { order_id, merchant_id, customer_id, customer_email, total_minor, currency } = order;
    const confirmed = { order_id, merchant_id, customer_id, customer_email, total_minor, currency, confirmed_at: nowMicros() };
    const events = low.map(({ row, amount }) => this.emit(topics.notify, key, notify.encode(alert(order, row, amount))));
    events.push(this.emit(topics.confirmed, key, orderConfirmed.encode(confirmed)));
    await Promise.all(events);
  }

  private async deduct(em: EntityManager, order: OrderCreated, need: [number, number][]) {
    const first = await this.store(em, order, 'confirmed');
    if (!first) return []; // a redelivered event, taken before
    const taken = env.oneStatement ? await this.takeAtOnce(em, order, need) : await this.takeEach(em, order, need);
    const low = taken.filter(
      ({ row }) => !row.notified && Number(row.stock) * 100 < Number(row.full_level) * row.threshold_pct,
    );
    if (low.length === 0) return [];
    const which = { merchant_id: order.merchant_id, id: In(low.map(({ row }) => row.id)) };
    await em.update(Ingredient, which, { notified: true });
    const amounts = new Map(low.map(({ row, amount }) => [row.id, amount]));
    return (await em.findBy(Ingredient, which)).map((row) => ({ row, amount: amounts.get(row.id) ?? 0 }));
  }

  private async takeEach(em: EntityManager, order: OrderCreated, need: [number, number][]) {
    const taken: { row: Taken; amount: number }[] = [];
    for (const [id, amount] of need) {
      const { raw } = await em
        .createQueryBuilder()
        .update(Ingredient)
        .set({ stock: () => 'stock - :amount' })
        .where('merchant_id = :merchant AND id = :id AND stock >= :amount', { merchant: order.merchant_id, id, amount })
        .returning(TAKEN)
        .execute();
      const row = raw[0] as Taken | undefined;
      if (!row) throw new InsufficientStock();
      taken.push({ row, amount });
    }
    return taken;
  }

  private async takeAtOnce(em: EntityManager, order: OrderCreated, need: [number, number][]) {
    const [rows] = (await em.query(
      `UPDATE ingredients i SET stock = i.stock - need.amount
       FROM unnest($2::int[], $3::bigint[]) AS need (id, amount)
       WHERE i.merchant_id = $1 AND i.id = need.id AND i.stock >= need.amount
       RETURNING i.id, stock, full_level, threshold_pct, notified, need.amount`,
      [order.merchant_id, need.map(([id]) => id), need.map(([, amount]) => amount)],
    )) as [(Taken & { amount: string })[], number];
    if (rows.length < need.length) throw new InsufficientStock();
    return rows.map((row) => ({ row, amount: Number(row.amount) }));
  }

  /** Whether the order was not there yet. */
  private async store(em: EntityManager, order: OrderCreated, status: 'confirmed' | 'rejected'): Promise<boolean> {
    const { raw } = await em
      .createQueryBuilder()
      .insert()
      .into(ProcessedOrder)
      .values({
        id: order.order_id,
        merchant_id: order.merchant_id,
        customer_id: order.customer_id,
        customer_email: order.customer_email,
        currency: order.currency,
        total_minor: order.total_minor,
        status,
        lines: order.lines,
        placed_at: new Date(order.placed_at / 1000),
      })
      .orIgnore()
      .returning('id')
      .updateEntity(false)
      .execute();
    return raw.length === 1;
  }

  private async reject(order: OrderCreated, need: [number, number][]): Promise<void> {
    const shelf = await this.dataSource.manager
      .createQueryBuilder(Ingredient, 'i')
      .where('i.merchant_id = :merchant AND i.id IN (:...ids)', { merchant: order.merchant_id, ids: need.map(([id]) => id) })
      .getMany();
    const available = new Map(shelf.map((row) => [row.id, row.stock]));
    const shortfalls = need
      .map(([ingredient_id, needed]) => ({ ingredient_id, needed, available: available.get(ingredient_id) ?? 0 }))
      .filter(({ needed, available: there }) => there < needed);
    const { order_id, merchant_id } = order;
    const rejected = { order_id, merchant_id, reason: 'insufficient_stock', shortfalls, rejected_at: nowMicros() };
    await this.emit(topics.rejected, String(merchant_id), stockRejected.encode(rejected));
  }

  private emit(topic: string, key: string, value: Buffer): Promise<unknown> {
    return lastValueFrom(this.kafka.emit(topic, { key, value }));
  }

  /** Total amount per ingredient, by id, so that concurrent transactions lock rows in one order. */
  private requirements(order: OrderCreated): [id: number, amount: number][] {
    const need = new Map<number, number>();
    for (const { product_id, quantity } of order.lines) {
      for (const { ingredient_id, amount } of this.recipes.get(product_id) ?? []) {
        need.set(ingredient_id, (need.get(ingredient_id) ?? 0) + amount * quantity);
      }
    }
    return [...need].sort((a, b) => a[0] - b[0]);
  }
}

const alert = (order: OrderCreated, row: Ingredient, amount: number) => ({
  alert_id: uuid(),
  merchant_id: order.merchant_id,
  merchant_name: row.merchant_name,
  ingredient_id: row.id,
  ingredient_name: row.name,
  unit: row.unit,
  level_before: row.stock + amount,
  level_after: row.stock,
  full_level: row.full_level,
  threshold_pct: row.threshold_pct,
  recipients: row.recipients.split(','),
  raised_at: nowMicros(),
});
