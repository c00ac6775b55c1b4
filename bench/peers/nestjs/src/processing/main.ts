import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { type MicroserviceOptions, Transport } from '@nestjs/microservices';
import { env } from '../common/config.js';
import '../common/lz4.js';
import { ProcessingModule } from './processing.module.js';

const app = await NestFactory.createMicroservice<MicroserviceOptions>(ProcessingModule, {
  logger: ['error', 'warn'],
  transport: Transport.KAFKA,
  options: {
    client: { clientId: 'nest-processing', brokers: env.brokers },
    consumer: { groupId: `${env.out}nest`, allowAutoTopicCreation: false },
    subscribe: { fromBeginning: true },
    run: env.concurrency ? { partitionsConsumedConcurrently: env.concurrency } : {},
    // Values are Avro, not JSON.
    parser: { keepBinary: true },
  },
});
console.log('{"begin":"drain"}');
await app.listen();
