import { signal } from '@preact/signals'
import type { Command, CommandError, CommandKind } from './protocol'

// Outbox holds every command until its result has come. A command keeps its id
// for life: the engine stores the id with the effect, so sending it again after a
// reconnect, or after the tab was closed and opened, changes nothing twice.

export interface Pending {
  command: Command
  since: number // server time when the person pressed the key
  sentAt: number | null // monotonic; null: not sent on this connection
  late: boolean
}

export interface Failure {
  command: Command
  error: CommandError
}

// No answer for this long is said aloud, and the command goes out again.
export const lateMs = 5_000

const busy = 'busy'

// Shelf keeps unanswered commands over a reload. One entry a command, so that two
// tabs of one person do not wipe out each other's.
export interface Shelf {
  load(): Command[]
  put(command: Command): void
  drop(id: string): void
}

type Send = (c: Command) => boolean
type Settled = (c: Command, ok: boolean, error: CommandError | undefined) => void

export class Outbox {
  readonly pending = signal<ReadonlyMap<string, Pending>>(new Map())
  readonly failures = signal<ReadonlyMap<string, Failure>>(new Map())

  constructor(
    private readonly shelf: Shelf,
    private readonly send: Send,
    private readonly settled: Settled,
  ) {}

  restore(now: number): void {
    const kept = new Map(this.pending.peek())
    for (const command of this.shelf.load()) {
      if (!kept.has(command.id)) kept.set(command.id, { command, since: now, sentAt: null, late: false })
    }
    this.pending.value = kept
  }

  add(command: Command, now: number, mono: number): void {
    this.clearFailure(command.incident, command.kind)
    this.shelf.put(command)
    const sentAt = this.send(command) ? mono : null
    this.put({ command, since: now, sentAt, late: false })
  }

  // opened: a new connection knows nothing of what was sent on the old one. The
  // order of the commands is kept.
  opened(mono: number): void {
    const next = new Map<string, Pending>()
    for (const [id, p] of this.pending.peek()) next.set(id, { ...p, sentAt: this.send(p.command) ? mono : null })
    this.pending.value = next
  }

  lost(): void {
    const next = new Map<string, Pending>()
    for (const [id, p] of this.pending.peek()) next.set(id, { ...p, sentAt: null })
    this.pending.value = next
  }

  tick(now: number, mono: number): void {
    for (const p of this.pending.peek().values()) {
      const overdue = p.sentAt !== null && mono - p.sentAt >= lateMs
      const late = p.late || now - p.since >= lateMs
      if (!overdue && late === p.late) continue
      this.put({ ...p, late, sentAt: overdue && this.send(p.command) ? mono : p.sentAt })
    }
  }

  // A result for an id that is not ours any more is a repeat and means nothing.
  // «busy» is no result: nothing was done, and the same command goes out again.
  result(id: string, ok: boolean, error: CommandError | undefined, mono: number): void {
    const p = this.pending.peek().get(id)
    if (p === undefined) return
    if (!ok && error?.code === busy) {
      this.put({ ...p, late: true, sentAt: mono })
      return
    }
    const next = new Map(this.pending.peek())
    next.delete(id)
    this.pending.value = next
    this.shelf.drop(id)
    if (!ok) {
      const e = error ?? { code: 'unknown', field: '', ru: '', en: '' }
      this.failures.value = new Map(this.failures.peek()).set(key(p.command.incident, p.command.kind), {
        command: p.command,
        error: e,
      })
    }
    this.settled(p.command, ok, error)
  }

  clearFailure(incident: string, kind: CommandKind): void {
    if (!this.failures.peek().has(key(incident, kind))) return
    const next = new Map(this.failures.peek())
    next.delete(key(incident, kind))
    this.failures.value = next
  }

  failure(incident: string, kind: CommandKind): Failure | undefined {
    return this.failures.value.get(key(incident, kind))
  }

  of(incident: string, ...kinds: CommandKind[]): Pending | undefined {
    for (const p of this.pending.value.values()) {
      if (p.command.incident === incident && kinds.includes(p.command.kind)) return p
    }
    return undefined
  }

  private put(p: Pending): void {
    this.pending.value = new Map(this.pending.peek()).set(p.command.id, p)
  }
}

const key = (incident: string, kind: CommandKind): string => `${incident} ${kind}`
