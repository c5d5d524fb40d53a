import Link from 'next/link';
import Choice from './choice';

export default function Page() {
  return <main><h1>Home</h1><p>With a paragraph.</p><Choice /><Link id="next" href="/other">Other</Link></main>;
}
