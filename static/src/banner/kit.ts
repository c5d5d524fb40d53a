import type { Selection } from '../consent/selection';
import type { Method, Texts } from '../consent/wire';
import type { h, link } from './dom';
import type { Frame } from './frame';

/** What the first layer lends to the preferences, which are loaded when they are opened. */
export interface Kit {
  readonly frame: Frame;
  /** Whether the browser sends Global Privacy Control, and the site honours it. */
  readonly gpc: boolean;
  readonly h: typeof h;
  readonly link: typeof link;
  /** A cross that closes a layer. */
  closer(label: string, onclick: () => void): HTMLElement;
  /** Reject, accept, and a third button, in a layer's own words. */
  buttons(texts: Texts, third: HTMLElement): HTMLElement;
  answer(selection: Selection, method: Method): Promise<void>;
  /** Takes the host out of the page where nothing is shown any more. */
  leave(): void;
  /** The day of the standing choice, in words. */
  since(): string | null;
  /** The preferences, while they are open. */
  dialog?: HTMLDialogElement | undefined;
  /** Set by the preferences. */
  open?: () => void;
}
