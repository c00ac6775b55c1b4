import { Body, Controller, Post } from '@nestjs/common';
import type { Order } from '../common/order.entities.js';
import { CreateOrderDto } from './create-order.dto.js';
import { OrderService } from './order.service.js';

@Controller('order')
export class OrderController {
  constructor(private readonly orders: OrderService) {}

  @Post()
  create(@Body() dto: CreateOrderDto): Promise<Order> {
    return this.orders.create(dto);
  }
}
