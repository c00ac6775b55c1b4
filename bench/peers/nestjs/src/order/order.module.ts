import { Module } from '@nestjs/common';
import { ClientsModule, Transport } from '@nestjs/microservices';
import { TypeOrmModule } from '@nestjs/typeorm';
import { dataSourceOptions, producerOptions } from '../common/config.js';
import { OrderController } from './order.controller.js';
import { OrderService } from './order.service.js';

@Module({
  imports: [
    TypeOrmModule.forRoot(dataSourceOptions()),
    ClientsModule.register([{ name: 'KAFKA', transport: Transport.KAFKA, options: producerOptions('nest-order') }]),
  ],
  controllers: [OrderController],
  providers: [OrderService],
})
export class OrderModule {}
