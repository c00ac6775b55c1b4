import { Controller } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { env } from '../common/config.js';
import { orderCreated } from '../common/events.js';
import { ProcessingService } from './processing.service.js';
import { Progress } from './progress.js';

@Controller()
export class ProcessingController {
  constructor(
    private readonly processing: ProcessingService,
    private readonly progress: Progress,
  ) {}

  @EventPattern(env.ordersTopic)
  async onOrderCreated(@Payload() value: object): Promise<void> {
    this.progress.begin();
    await this.processing.process(orderCreated.decode(value as Buffer));
    this.progress.end();
  }
}
