import kafkajs from 'kafkajs';
import lz4 from 'lz4js';

// The backlog is compressed with LZ4, which kafkajs leaves to a codec of one's own.
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  compress: async (encoder: { buffer: Buffer }) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (buffer: Buffer) => Buffer.from(lz4.decompress(buffer)),
});
