/** The banner imports its style as minified text; the dashboard only for the effect. */
declare module '*.css' {
  const css: string;
  export default css;
}
