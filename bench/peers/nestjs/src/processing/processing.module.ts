import { Module } from '@nestjs/common';
import { ClientsModule, Transport } from '@nestjs/microservices';
import { TypeOrmModule } from '@nestjs/typeorm';
import { dataSourceOptions, producerOptions } from '../common/config.js';
import { ProcessingController } from './processing.controller.js';
import { ProcessingService } from './processing.service.js';
import { Progress } from './progress.js';

@Module({
  imports: [
    TypeOrmModule.forRoot(dataSourceOptions()),
    ClientsModule.register([{ name: 'KAFKA', transport: Transport.KAFKA, options: producerOptions('nest-outcomes') }]),
  ],
  controllers: [ProcessingController],
  providers: [ProcessingService, Progress],
})
export class ProcessingModule {}
