import { Injectable } from '@nestjs/common';
import { env } from '../common/config.js';

/** Tells the bench how long all orders took, from the first one seen to the last outcome acknowledged. */
@Injectable()
export class Progress {
  private first = 0;
  private done = 0;

  begin() {
    this.first ||= performance.now();
  }

  end() {
    this.done += 1;
    if (this.done === env.orders) {
      const seconds = (performance.now() - this.first) / 1000;
      console.log(JSON.stringify({ end: 'drain', orders: this.done, seconds }));
    }
  }
}
