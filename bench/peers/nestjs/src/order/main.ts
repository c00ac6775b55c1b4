import 'reflect-metadata';
import { ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { env } from '../common/config.js';
import { OrderModule } from './order.module.js';

const app = await NestFactory.create(OrderModule, { logger: ['error', 'warn'] });
app.useGlobalPipes(new ValidationPipe({ whitelist: true, transform: true }));
await app.listen(env.port, '127.0.0.1');
console.log('{"begin":"post"}');
