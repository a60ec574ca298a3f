import { computed, effect, signal } from '@preact/signals'
import { Board } from '../model/board'
import { ServerClock } from '../model/clock'
import { deadMs, Freshness } from '../model/freshness'
import { Outbox } from '../model/outbox'
import { waitsForMe } from '../model/order'
import {
  tooBigCode, type ClientFrame, type Command, type CommandKind, type Incident, type JournalEvent, type Me, type ServerFrame,
} from '../model/protocol'
import { en } from '../i18n/en'
import { ru } from '../i18n/ru'
import type { Api } from './api'
import { Drafts } from './drafts'
import { Link, type LinkPorts } from './link'
import { Notes } from './notes'
import { CommandShelf, DraftShelf, NoteShelf } from './shelf'

// Live is one person's session: the socket and everything that is fed by it. It
// knows nothing of the page, so the tests drive it with a made-up socket and
// made-up time.

export interface LivePorts extends LinkPorts {
  wall(): number
  newId(): string
  storage: Storage
  api: Pick<Api, 'incident' | 'events'>
  sessionGone(): void
  someoneElse(me: Me): void // the cookie now belongs to another login
  urgent(incidents: Incident[]): void // newly waiting for this person
}

const checkEveryMs = 200
const snapshotPatienceMs = 3_000

export class Live {
  readonly board = new Board()
  readonly clock = new ServerClock()
  readonly freshness = new Freshness()
  readonly outbox: Outbox
  readonly drafts: Drafts
  readonly notes: Notes
  readonly link: Link
  // now is the server's time, painted once a second.
  readonly now = signal(0)
  readonly ready = signal(false) // a first snapshot has come
  readonly journals = signal<ReadonlyMap<string, readonly JournalEvent[]>>(new Map())
  // missing: cards asked for by address that do not exist or are not for this person.
  readonly missing = signal<ReadonlySet<string>>(new Set())
  readonly waiting = computed(() => {
    void this.board.revision.value
    return this.board.all().filter((i) => waitsForMe(i, this.me) && !this.board.vanished.value.has(i.id))
  })

  private greeted = false // the server has said that this socket is ours
  private watched: string | null = null
  private watchedAt = 0 // when it was last asked for
  private asking = new Set<string>()
  private knownWaiting: ReadonlySet<string> | null = null
  private timer: ReturnType<typeof setInterval> | undefined
  private askedAt = 0
  private readonly stops: (() => void)[] = []

  constructor(
    readonly me: Me,
    private readonly ports: LivePorts,
  ) {
    this.link = new Link(ports, {
      opened: () => this.opened(),
      frame: (f) => this.frame(f),
      closed: (code) => this.closed(code),
      sessionGone: () => ports.sessionGone(),
    })
    this.notes = new Notes(new NoteShelf(ports.storage, me.login))
    this.outbox = new Outbox(
      new CommandShelf(ports.storage, me.login),
      (c) => this.send({ t: 'cmd', ...c }),
      (c, ok, error) => {
        this.notes.settled(c, ok)
        this.drafts.settled(c, ok, error)
      },
      { code: 'invalid', field: '', ru: ru.act.tooBig, en: en.act.tooBig },
    )
    this.drafts = new Drafts(new DraftShelf(ports.storage, me.login), {
      incident: (id) => this.board.row(id)?.peek(),
      newId: () => ports.newId(),
      command: (incident, kind, rest) => this.command(incident, kind, rest),
    })
  }

  start(): void {
    this.now.value = this.serverNow()
    this.outbox.restore(this.now.peek())
    for (const p of this.outbox.pending.peek().values()) this.drafts.known(p.command)
    this.timer = setInterval(() => this.tick(), checkEveryMs)
    this.stops.push(effect(() => this.announce(this.waiting.value)))
    this.link.start()
  }

  stop(): void {
    clearInterval(this.timer)
    for (const s of this.stops.splice(0)) s()
    this.link.stop()
  }

  serverNow(): number {
    return this.clock.now(this.ports.mono(), this.ports.wall())
  }

  command(incident: string, kind: CommandKind, rest: Partial<Command> = {}): void {
    const c: Command = { ...rest, id: rest.id ?? this.ports.newId(), incident, kind }
    this.outbox.add(c, this.serverNow(), this.ports.mono()) // kept there before it goes from here
    if (this.outbox.pending.peek().has(c.id)) this.notes.sent(c)
  }

  // watch follows one card's journal; null follows none.
  watch(id: string | null): void {
    if (this.watched === id) return
    if (this.watched !== null) {
      this.send({ t: 'unwatch', incident: this.watched })
      this.journals.value = new Map()
    }
    this.watched = id
    if (id === null) return
    this.ask(id)
    this.fetchIfUnknown(id)
  }

  private ask(id: string): void {
    this.watchedAt = this.ports.mono()
    this.send({ t: 'watch', incident: id })
  }

  // Nothing is said before the greeting: the cookie may be somebody else's by now.
  private send(f: ClientFrame): boolean {
    return this.greeted && this.link.send(f)
  }

  private opened(): void {
    this.freshness.opened()
    this.freshness.heard(this.ports.mono())
    this.check()
  }

  private closed(code: number): void {
    this.greeted = false
    if (code === tooBigCode) this.outbox.overflowed(this.ports.mono())
    this.board.connectionLost()
    this.freshness.closed()
    this.outbox.lost()
    this.check()
  }

  private frame(f: ServerFrame): void {
    const mono = this.ports.mono()
    this.freshness.heard(mono)
    switch (f.t) {
      case 'hello':
        if (f.me.login !== this.me.login || f.me.role !== this.me.role || f.me.service !== this.me.service) {
          this.ports.someoneElse(f.me)
          return
        }
        this.greeted = true
        if (f.server !== undefined) this.clock.sample(f.server, mono)
        this.board.apply(f)
        this.askedAt = mono
        break
      case 'beat':
        if (f.at !== undefined) this.clock.sample(f.at, mono)
        this.freshness.serverSays(f.stale)
        this.applyBoard(f, mono)
        break
      case 'snapshot':
      case 'delta':
        this.applyBoard(f, mono)
        break
      case 'events':
        this.addEvents(f.incident, f.events)
        break
      case 'result':
        if (f.incident !== undefined) this.learn(f.incident)
        this.outbox.result(f.id, f.ok, f.error, mono)
        break
    }
    this.check()
  }

  private applyBoard(f: Extract<ServerFrame, { t: 'snapshot' | 'delta' | 'beat' }>, mono: number): void {
    if (f.t === 'snapshot') this.ready.value = true
    const applied = this.board.apply(f)
    switch (applied.kind) {
      case 'resync':
        this.freshness.doubt()
        this.askedAt = mono
        this.send({ t: 'resync' })
        return
      case 'waiting':
        this.freshness.doubt()
        if (mono - this.askedAt > snapshotPatienceMs) this.board.askAgain()
        return
      case 'nothing':
        return
    }
    if (f.t === 'delta') for (const i of f.incidents) this.rowChanged(i)
    if (f.t === 'snapshot') {
      this.drafts.afterSnapshot()
      if (this.outbox.pending.peek().size > 0) this.outbox.opened(mono)
      if (this.watched !== null) {
        this.ask(this.watched)
        this.fetchIfUnknown(this.watched)
      }
    }
    this.freshness.prove(this.serverNow())
  }

  private learn(i: Incident): void {
    this.board.learn(i)
    this.rowChanged(i)
  }

  // The board knows which of two rows is the newer; an old one that comes late must
  // not look like somebody's change.
  private rowChanged(i: Incident): void {
    const row = this.board.row(i.id)?.peek() ?? i
    this.drafts.rowChanged(row)
    this.notes.rowChanged(row)
  }

  private addEvents(incident: string, events: readonly JournalEvent[]): void {
    if (incident !== this.watched) return
    const known = this.journals.peek().get(incident) ?? []
    const seen = new Set(known.map((e) => e.seq))
    const fresh = events.filter((e) => !seen.has(e.seq))
    if (fresh.length === 0 && this.journals.peek().has(incident)) return
    const all = [...known, ...fresh].sort((a, b) => a.seq - b.seq)
    this.journals.value = new Map([[incident, all]])
  }

  // A card that the board does not hold (closed long ago, or gone from the last
  // snapshot) is asked for once.
  private fetchIfUnknown(id: string): void {
    const gone = this.board.vanished.peek().has(id)
    if ((this.board.row(id) !== undefined && !gone) || this.asking.has(id)) return
    this.asking.add(id)
    void this.fetch(id).finally(() => this.asking.delete(id))
  }

  private async fetch(id: string): Promise<void> {
    const [row, events] = await Promise.all([this.ports.api.incident(id), this.ports.api.events(id)])
    if (typeof row !== 'string') {
      this.learn(row)
      if (events !== undefined) this.addEvents(id, events)
    } else if (row === 'none') this.missing.value = new Set(this.missing.peek()).add(id)
  }

  private announce(waiting: readonly Incident[]): void {
    if (!this.ready.peek()) return
    const known = this.knownWaiting
    this.knownWaiting = new Set(waiting.map((i) => i.id))
    // What already waited when the person came in is on the board; only news ring.
    if (known === null) return
    const fresh = waiting.filter((i) => !known.has(i.id))
    if (fresh.length > 0) this.ports.urgent(fresh)
  }

  private tick(): void {
    const mono = this.ports.mono()
    const now = this.serverNow()
    if (Math.floor(now / 1000) !== Math.floor(this.now.peek() / 1000)) this.now.value = now
    this.outbox.tick(now, mono)
    if (this.freshness.silentFor(mono) > deadMs) this.link.restart()
    this.askAgain(mono)
    this.check()
  }

  // A journal that does not come (the server's database was away) is asked for again.
  private askAgain(mono: number): void {
    const id = this.watched
    if (id === null || this.journals.peek().has(id) || this.missing.peek().has(id)) return
    if (mono - this.watchedAt > snapshotPatienceMs) this.ask(id)
  }

  private check(): void {
    this.freshness.check(this.ports.mono())
  }
}
