import type { TrackedEvent } from '../consent/wire';

/** What is gathered about a page while it is shown. */
export interface Part {
  /** Of its event. */
  readonly name: string;
  /** What there is to tell since it was asked last; undefined: nothing. */
  take(): Partial<TrackedEvent> | undefined;
  /** Begins anew, for another page. */
  renew?(): void;
}
