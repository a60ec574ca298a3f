import { signal } from '@preact/signals'
import { rebased } from './draft'
import { FRAME_LIMIT, type Command, type CommandError, type CommandKind } from './protocol'

// Outbox holds every command until its result has come. A command keeps its id
// for life: the engine stores the id with the effect, so sending it again after a
// reconnect, or after the tab was closed and opened, changes nothing twice.
//
// Forms of one card go one after the other: the next is not said before the answer
// to the one before is known, because its texts grew from those. A command that no
// connection can carry fails here and now; it would end every connection anew.

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
    private readonly tooBig: CommandError,
  ) {}

  restore(now: number): void {
    const kept = new Map(this.pending.peek())
    const never: Command[] = []
    for (const command of this.shelf.load()) {
      if (!fits(command)) never.push(command)
      else if (!kept.has(command.id)) kept.set(command.id, { command, since: now, sentAt: null, late: false })
    }
    this.pending.value = kept
    for (const c of never) this.finish(c, false, this.tooBig)
  }

  add(command: Command, now: number, mono: number): void {
    this.clearFailure(command.incident, command.kind)
    if (!fits(command)) {
      this.finish(command, false, this.tooBig)
      return
    }
    this.shelf.put(command)
    this.put({ command, since: now, sentAt: this.say(command) ? mono : null, late: false })
  }

  // opened: a new connection knows nothing of what was sent on the old one. The
  // order of the commands is kept.
  opened(mono: number): void {
    const next = new Map<string, Pending>()
    for (const [id, p] of this.pending.peek()) next.set(id, { ...p, sentAt: this.say(p.command) ? mono : null })
    this.pending.value = next
  }

  // overflowed: the server has closed the connection because of a message's size.
  // That was the largest of those said on it.
  overflowed(mono: number): void {
    const said = [...this.pending.peek().values()].filter((p) => p.sentAt !== null).map((p) => p.command)
    const [largest] = said.sort((a, b) => octets(b) - octets(a))
    if (largest === undefined) return
    this.finish(largest, false, this.tooBig)
    this.sayNext(largest, mono)
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
      this.put({ ...p, late, sentAt: overdue && this.say(p.command) ? mono : p.sentAt })
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
    this.finish(p.command, ok, error)
    this.sayNext(p.command, mono)
  }

  // finish settles a command for good.
  private finish(c: Command, ok: boolean, error: CommandError | undefined): void {
    const next = new Map(this.pending.peek())
    next.delete(c.id)
    this.pending.value = next
    if (!ok) this.rebaseNext(c) // before the shelf forgets what the next one grew from
    this.shelf.drop(c.id)
    if (!ok) {
      const e = error ?? { code: 'unknown', field: '', ru: '', en: '' }
      this.failures.value = new Map(this.failures.peek()).set(key(c.incident, c.kind), { command: c, error: e })
    }
    this.settled(c, ok, error)
  }

  // say gives the command to the connection, unless a form of the same card goes first.
  private say(c: Command): boolean {
    return this.first(c) && this.send(c)
  }

  private first(c: Command): boolean {
    if (c.form === undefined) return true
    for (const p of this.pending.peek().values()) {
      if (p.command.id === c.id) return true
      if (follows(c, p.command)) return false
    }
    return true
  }

  private sayNext(done: Command, mono: number): void {
    for (const p of this.pending.peek().values()) {
      if (follows(p.command, done) && p.sentAt === null && this.say(p.command)) this.put({ ...p, sentAt: mono })
    }
  }

  // The next form was never said, so its id is nobody's yet and it may still change.
  private rebaseNext(refused: Command): void {
    for (const p of this.pending.peek().values()) {
      if (!follows(p.command, refused) || p.command.form === undefined || refused.form === undefined) continue
      const command = { ...p.command, form: rebased(p.command.form, refused.form) }
      this.shelf.put(command)
      this.put({ ...p, command })
      return
    }
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

const follows = (next: Command, before: Command): boolean =>
  next.incident === before.incident && next.form !== undefined && before.form !== undefined

const octets = (c: Command): number => new TextEncoder().encode(JSON.stringify({ t: 'cmd', ...c })).length
const fits = (c: Command): boolean => octets(c) <= FRAME_LIMIT
