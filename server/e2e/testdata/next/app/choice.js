'use client';
import { useConsent } from '@sluice/react';

// What useConsent says, where a test can read it.
export default function Choice() {
  const { ready, granted, open, track } = useConsent();
  return (
    <p>
      <output id="choice">{ready ? (granted('analytics') ? 'yes' : 'no') : 'waiting'}</output>
      <button id="open" onClick={open}>Preferences</button>
      <button id="track" onClick={() => track('Pressed', { from: 'react' })}>Press</button>
    </p>
  );
}
