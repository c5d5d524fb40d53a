/** What the first layer lends, which came before or in the same answer. */
export const kit = window.sluice!._.kit!;
export const { h, link } = kit;
