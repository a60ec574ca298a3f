import { signal } from '@preact/signals'

// Two short notes for a newcomer that waits for a person. A browser plays nothing
// before the first key or click; the header says so.

const key = 'nabat.sound'
const remembered = (): boolean => {
  try {
    return localStorage.getItem(key) !== 'off'
  } catch {
    return true
  }
}

export const on = signal(remembered())
export const unlocked = signal(false)

let context: AudioContext | null = null

export function unlock(): void {
  if (unlocked.peek()) return
  try {
    context ??= new AudioContext()
    void context.resume().then(() => {
      unlocked.value = context?.state === 'running'
    })
  } catch {
    // No sound device: title and board still tell.
  }
}

export function toggle(): void {
  on.value = !on.peek()
  try {
    localStorage.setItem(key, on.peek() ? 'on' : 'off')
  } catch {
    // For this page only, then.
  }
  if (on.peek()) ring()
}

export function ring(): void {
  if (!on.peek() || context === null || context.state !== 'running') return
  const from = context.currentTime
  for (const [n, hz] of [880, 660].entries()) {
    const tone = context.createOscillator()
    const gain = context.createGain()
    const start = from + n * 0.18
    tone.type = 'triangle'
    tone.frequency.value = hz
    gain.gain.setValueAtTime(0, start)
    gain.gain.linearRampToValueAtTime(0.35, start + 0.02)
    gain.gain.exponentialRampToValueAtTime(0.001, start + 0.17)
    tone.connect(gain).connect(context.destination)
    tone.start(start)
    tone.stop(start + 0.18)
  }
}
