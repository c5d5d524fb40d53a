export const metadata = { title: 'Other' };

export default function Other() {
  return <main><h1>Other</h1></main>;
}
