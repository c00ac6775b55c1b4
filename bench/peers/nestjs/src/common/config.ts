import type { KafkaOptions } from '@nestjs/microservices';
import type { TypeOrmModuleOptions } from '@nestjs/typeorm';
import type { DataSourceOptions } from 'typeorm';
import { Ingredient, ProcessedOrder, RecipeLine } from './processing.entities.js';
import { Order, OrderItem, Product } from './order.entities.js';

const required = (name: string): string => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this peer by \`cargo xtask bench peers\``);
  return value;
};

export const env = {
  brokers: required('KAFKA_BOOTSTRAP_SERVERS').split(','),
  databaseUrl: required('PEER_DATABASE_URL'),
  ordersTopic: required('PEER_ORDERS_TOPIC'),
  out: required('PEER_OUT_PREFIX'),
  orders: Number(required('PEER_ORDERS')),
  catalogue: required('PEER_CATALOGUE'),
  schemas: required('PEER_SCHEMAS'),
  poolSize: Number(process.env.PEER_POOL ?? 16),
  port: Number(process.env.PEER_PORT ?? 0),
  /** Unset: kafkajs' own, one partition at a time. */
  concurrency: process.env.PEER_PARTITIONS_AT_ONCE ? Number(process.env.PEER_PARTITIONS_AT_ONCE) : undefined,
  /** Take all ingredients of an order by one statement in SQL instead of one update each by TypeORM. */
  oneStatement: process.env.PEER_ONE_STATEMENT === 'true',
};

export const dataSourceOptions = (): DataSourceOptions & TypeOrmModuleOptions => ({
  type: 'postgres',
  url: env.databaseUrl,
  entities: [Product, Order, OrderItem, Ingredient, RecipeLine, ProcessedOrder],
  synchronize: false,
  logging: false,
  poolSize: env.poolSize,
});

/** A client that only produces, with the acknowledgement of all in-sync replicas. */
export const producerOptions = (clientId: string): KafkaOptions['options'] => ({
  client: { clientId, brokers: env.brokers },
  producerOnlyMode: true,
  producer: { allowAutoTopicCreation: false },
  send: { acks: -1 },
});
