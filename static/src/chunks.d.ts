/**
 * Hashed names of what is loaded later, put in by the bundler: a file built
 * before the one that names it (static/bundle/build.go, bundles).
 */
declare const __chunks: {
  readonly marked: string;
  readonly clear: string;
  readonly inspect: string;
  readonly frames: string;
  readonly extras: string;
};
