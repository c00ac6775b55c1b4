import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DataSource } from 'typeorm';
import { dataSourceOptions, env } from '../common/config.js';

// Makes the tables anew and fills them with the bench's catalogue. None of it is timed.

const rows = (file: string): string[][] =>
  readFileSync(join(env.catalogue, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));

const dataSource = new DataSource({ ...dataSourceOptions(), synchronize: true, dropSchema: true });
await dataSource.initialize();

const insert = async (table: string, columns: [name: string, type: string, index: number][], from: string[][]) => {
  const names = columns.map(([name]) => name).join(', ');
  const arrays = columns.map(([, type], n) => `$${n + 1}::${type}[]`).join(', ');
  for (let at = 0; at < from.length; at += 20_000) {
    const part = from.slice(at, at + 20_000);
    await dataSource.query(
      `INSERT INTO ${table} (${names}) SELECT * FROM unnest(${arrays})`,
      columns.map(([, , index]) => part.map((row) => row[index])),
    );
  }
};

await insert(
  'ingredients',
  [
    ['merchant_id', 'int', 0], ['merchant_name', 'text', 1], ['recipients', 'text', 2], ['id', 'int', 3], ['name', 'text', 4],
    ['unit', 'text', 5], ['stock', 'bigint', 6], ['full_level', 'bigint', 7], ['threshold_pct', 'int', 8],
  ],
  rows('ingredients.tsv'),
);
await insert(
  'recipe_lines',
  [['merchant_id', 'int', 0], ['product_id', 'int', 1], ['ingredient_id', 'int', 2], ['amount', 'int', 3]],
  rows('recipes.tsv'),
);
await insert(
  'products',
  [['merchant_id', 'int', 0], ['id', 'int', 1], ['price_minor', 'int', 2], ['currency', 'text', 3]],
  rows('products.tsv'),
);
// The order tables are left without statistics: those of empty tables make Postgres check order_items by scanning all of it.
await dataSource.query('VACUUM ANALYZE ingredients');
await dataSource.query('ANALYZE recipe_lines, products');
await dataSource.destroy();
