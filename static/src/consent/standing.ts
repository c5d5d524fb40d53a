import type { Choice } from './choice';

/** The choice as last read, for the chunks of the script. */
export const current = (): Choice | null => window.sluice!.consent;
