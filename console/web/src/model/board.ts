import { signal, type Signal } from '@preact/signals'
import { isOpen, type Incident, type ServerFrame } from './protocol'

// Board is the set of incidents this screen knows, kept by snapshot and numbered
// deltas. Each row is a signal of its own: a change repaints one row.

export type Applied =
  | { kind: 'proved' } // the board is what the server has
  | { kind: 'resync' } // a gap or another server life: ask for a snapshot
  | { kind: 'waiting' } // a snapshot is on its way; this frame is of no use
  | { kind: 'nothing' }

const mostClosed = 200

type BoardFrame = Extract<ServerFrame, { t: 'hello' | 'snapshot' | 'delta' | 'beat' }>

export class Board {
  private readonly rows = new Map<string, Signal<Incident>>()
  private epoch: string | null = null
  private seq = 0
  private whole = false // a snapshot of this connection was taken and nothing was missed since
  private asked = false

  // revision changes with every change of any row.
  readonly revision = signal(0)
  // gone: open incidents that a later snapshot no longer named.
  readonly vanished = signal<ReadonlySet<string>>(new Set())

  row(id: string): Signal<Incident> | undefined {
    return this.rows.get(id)
  }

  all(): Incident[] {
    return [...this.rows.values()].map((s) => s.peek())
  }

  // A new connection proves nothing until its snapshot has come.
  connectionLost(): void {
    this.whole = false
    this.asked = false
  }

  apply(f: BoardFrame): Applied {
    switch (f.t) {
      case 'hello':
        this.whole = false
        this.asked = true // the server sends a snapshot by itself
        this.epoch = f.epoch
        return { kind: 'nothing' }
      case 'snapshot':
        return this.replace(f.epoch, f.seq, f.incidents)
      case 'delta':
        if (!this.whole || f.epoch !== this.epoch || f.prev !== this.seq) return this.gap()
        this.seq = f.seq
        this.put(f.incidents)
        return { kind: 'proved' }
      case 'beat':
        if (!this.whole || f.epoch !== this.epoch || f.seq > this.seq) return this.gap()
        return { kind: 'proved' }
    }
  }

  // askAgain lets the next gap ask once more, when a promised snapshot never came.
  askAgain(): void {
    this.asked = false
  }

  get waiting(): boolean {
    return this.asked
  }

  // A single newer row that came beside the numbered stream: a command's result,
  // or one card that was asked for by its address.
  learn(row: Incident): void {
    const old = this.rows.get(row.id)
    if (old === undefined) this.rows.set(row.id, signal(row))
    else if (row.version < old.peek().version) return
    else old.value = row
    if (this.vanished.peek().has(row.id)) {
      const rest = new Set(this.vanished.peek())
      rest.delete(row.id)
      this.vanished.value = rest
    }
    this.revision.value++
  }

  clear(): void {
    this.rows.clear()
    this.epoch = null
    this.seq = 0
    this.whole = this.asked = false
    this.vanished.value = new Set()
    this.revision.value++
  }

  private gap(): Applied {
    this.whole = false
    if (this.asked) return { kind: 'waiting' }
    this.asked = true
    return { kind: 'resync' }
  }

  private replace(epoch: string, seq: number, incidents: Incident[]): Applied {
    this.epoch = epoch
    this.seq = seq
    this.whole = true
    this.asked = false
    const named = new Set(incidents.map((i) => i.id))
    for (const row of incidents) {
      const old = this.rows.get(row.id)
      if (old === undefined) this.rows.set(row.id, signal(row))
      else old.value = row // a snapshot is the truth, whatever we believed
    }
    const vanished = new Set<string>()
    for (const [id, row] of this.rows) {
      if (!named.has(id) && isOpen(row.peek().state)) vanished.add(id)
    }
    this.vanished.value = vanished
    this.prune()
    this.revision.value++
    return { kind: 'proved' }
  }

  private put(incidents: Incident[]): void {
    for (const row of incidents) {
      const old = this.rows.get(row.id)
      if (old === undefined) this.rows.set(row.id, signal(row))
      else if (row.version >= old.peek().version) old.value = row
    }
    if (incidents.length === 0) return
    this.prune()
    this.revision.value++
  }

  // Closed rows stay for a while, because somebody may have the card open; a
  // screen runs for weeks, so they may not stay for ever.
  private prune(): void {
    const done = [...this.rows].filter(([, r]) => !isOpen(r.peek().state)).map(([id]) => id)
    for (const id of done.slice(0, Math.max(0, done.length - mostClosed))) this.rows.delete(id)
  }
}
