/** The banner imports its style as minified text; the dashboard only for the effect. */
declare module '*.css' {
  const css: string;
  export default css;
}

/** One text in every language, by language (static/bundle/build.go, texts). */
declare module 'texts:choices.title' {
  const texts: Record<string, string>;
  export default texts;
}
