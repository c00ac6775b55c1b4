import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import avro from 'avsc';
import { env } from './config.js';

export interface OrderCreated {
  order_id: string;
  merchant_id: number;
  customer_id: number;
  customer_email: string | null;
  currency: string;
  lines: { product_id: number; quantity: number; unit_price_minor: number }[];
  total_minor: number;
  placed_at: number;
  request_hash: number | null;
}

/** One of the product's events: Confluent's wire format around an Avro value. */
class Codec<T> {
  private readonly type: avro.Type;
  private readonly prefix = Buffer.alloc(5);

  constructor(schema: string, id: string | undefined) {
    this.type = avro.Type.forSchema(JSON.parse(readFileSync(join(env.schemas, schema), 'utf8')));
    this.prefix.writeInt32BE(Number(id ?? 0), 1);
  }

  encode(event: T): Buffer {
    return Buffer.concat([this.prefix, this.type.toBuffer(event)]);
  }

  decode(bytes: Buffer): T {
    return this.type.fromBuffer(bytes.subarray(5)) as T;
  }
}

export const orderCreated = new Codec<OrderCreated>('order_created.avsc', process.env.PEER_SCHEMA_CREATED);
export const orderConfirmed = new Codec<object>('order_confirmed.avsc', process.env.PEER_SCHEMA_CONFIRMED);
export const stockRejected = new Codec<object>('stock_rejected.avsc', process.env.PEER_SCHEMA_REJECTED);
export const notify = new Codec<object>('notify.avsc', process.env.PEER_SCHEMA_NOTIFY);

export const topics = {
  confirmed: `${env.out}order_confirmed`,
  rejected: `${env.out}stock_rejected`,
  notify: `${env.out}notify`,
};

export const nowMicros = (): number => Date.now() * 1000;
