import { signal } from '@preact/signals'

// Freshness decides whether the screen may still be believed.
//
// The data are current only while frames keep coming, the socket is open, the
// server itself says that it is not behind, and a snapshot, an unbroken delta or
// a beat with our own sequence number has proved it since the last doubt.

// A beat comes each second; the banner must stand within 2 s of the last frame.
export const silenceMs = 1_500

// The socket that has said nothing for this long is dead whatever the browser thinks.
export const deadMs = 6_000

export interface Stale {
  since: number | undefined // server time of the last proof; undefined: never had any
  reason: 'closed' | 'silent' | 'behind' | 'unproved'
}

export class Freshness {
  readonly stale = signal<Stale | null>({ since: undefined, reason: 'closed' })
  private open = false
  private proved = false
  private behind = false
  private lastFrame = -Infinity
  private lastProof: number | undefined

  opened(): void {
    this.open = true
    this.proved = false
  }

  closed(): void {
    this.open = false
    this.proved = false
  }

  heard(mono: number): void {
    this.lastFrame = mono
  }

  // A gap, another epoch: what is shown is not known to be true any more.
  doubt(): void {
    this.proved = false
  }

  prove(serverNow: number): void {
    this.proved = true
    if (!this.behind) this.lastProof = serverNow
  }

  serverSays(behind: boolean): void {
    this.behind = behind
  }

  silentFor(mono: number): number {
    return mono - this.lastFrame
  }

  // check is called some times a second and after every frame. Silence is a doubt
  // that a mere frame does not remove: only the next proof does.
  check(mono: number): void {
    const silent = mono - this.lastFrame > silenceMs
    if (silent) this.proved = false
    const reason = !this.open ? 'closed' : silent ? 'silent' : this.behind ? 'behind' : !this.proved ? 'unproved' : null
    const old = this.stale.peek()
    if (reason === null) {
      if (old !== null) this.stale.value = null
    } else if (old === null || old.reason !== reason || old.since !== this.lastProof) {
      this.stale.value = { since: this.lastProof, reason }
    }
  }
}
