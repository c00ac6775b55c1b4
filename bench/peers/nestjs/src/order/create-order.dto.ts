import { Type } from 'class-transformer';
import { ArrayMaxSize, ArrayMinSize, IsArray, IsInt, Max, Min, ValidateNested } from 'class-validator';

const MAX_ID = 2_147_483_647;

export class CreateOrderItemDto {
  @IsInt() @Min(1) @Max(MAX_ID) product_id: number;
  @IsInt() @Min(1) @Max(10_000) quantity: number;
}

export class CreateOrderDto {
  @IsInt() @Min(1) @Max(MAX_ID) merchant_id: number;
  @IsInt() @Min(1) @Max(MAX_ID) customer_id: number;
  @IsArray() @ArrayMinSize(1) @ArrayMaxSize(100) @ValidateNested({ each: true }) @Type(() => CreateOrderItemDto)
  items: CreateOrderItemDto[];
}
