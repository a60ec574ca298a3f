import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Incident, Me } from '../src/model/protocol'
import { Live } from '../src/store/live'
import type { Socket } from '../src/store/link'
import { CommandShelf } from '../src/store/shelf'
import { FakeStorage, fireDuty, incident, operator, T0 } from './make'

// The whole session over a made-up socket in made-up time.

class FakeSocket implements Socket {
  onopen: (() => void) | null = null
  onmessage: ((e: { data: unknown }) => void) | null = null
  onclose: ((e: { code: number }) => void) | null = null
  readonly sent: Record<string, unknown>[] = []
  closed = false
  send(data: string): void {
    this.sent.push(JSON.parse(data))
  }
  close(): void {
    this.closed = true
  }
  say(f: object): void {
    this.onmessage?.({ data: JSON.stringify(f) })
  }
  of(t: string): Record<string, unknown>[] {
    return this.sent.filter((f) => f.t === t)
  }
}

const iso = (ms: number): string => new Date(ms).toISOString()
const row = (over: object = {}): object => ({ id: 'i1', number: 7, state: 'draft', origin: 'call', version: 1, openedAt: iso(T0), ...over })

let sockets: FakeSocket[]
let storage: FakeStorage
let rung: Incident[]
let gone: number
let session: 'good' | 'gone' | 'unreachable'
let others: Me[]
let live: Live
let ids: number

const start = (me: Me = operator): Live => {
  const l = new Live(me, {
    openSocket: () => {
      const s = new FakeSocket()
      sockets.push(s)
      return s
    },
    mono: () => Date.now(),
    wall: () => Date.now(),
    random: () => 0.5,
    newId: () => `cmd-${++ids}`,
    storage,
    api: { incident: async () => 'none', events: async () => undefined },
    session: async () => session,
    sessionGone: () => gone++,
    someoneElse: (m) => others.push(m),
    urgent: (list) => rung.push(...list),
  })
  l.start()
  return l
}

const socket = (): FakeSocket => {
  const s = sockets.at(-1)
  if (s === undefined) throw new Error('no socket')
  return s
}

const connect = (incidents: object[] = [row()], epoch = 'e', seq = 5): FakeSocket => {
  const s = socket()
  s.onopen?.()
  s.say({ t: 'hello', epoch, server: iso(Date.now()), me: { login: 'op', name: 'Op', role: 'operator' } })
  s.say({ t: 'snapshot', epoch, seq, incidents })
  return s
}

// run lets time pass with a beat each second, as a healthy server sends.
const run = async (seconds: number, s = socket(), seq = 5, epoch = 'e'): Promise<void> => {
  for (let n = 0; n < seconds; n++) {
    await vi.advanceTimersByTimeAsync(1_000)
    s.say({ t: 'beat', epoch, seq, at: iso(Date.now()) })
  }
}

const stale = () => live.freshness.stale.peek()

beforeEach(() => {
  vi.useFakeTimers({ now: T0 })
  sockets = []
  storage = new FakeStorage()
  rung = []
  gone = ids = 0
  others = []
  session = 'good'
  live = start()
})
afterEach(() => {
  live.stop()
  vi.useRealTimers()
})

describe('staleness', () => {
  it('is stale before the first snapshot and fresh after it', async () => {
    expect(stale()).toMatchObject({ since: undefined })
    connect()
    expect(stale()).toBeNull()
    await run(10)
    expect(stale()).toBeNull()
  })

  it('warns within 2 s of the last frame, with the time of the last proof', async () => {
    connect()
    await run(3)
    const last = Date.now()
    await vi.advanceTimersByTimeAsync(1_400)
    expect(stale()).toBeNull()
    await vi.advanceTimersByTimeAsync(400)
    expect(stale()).toEqual({ since: last, reason: 'silent' })
  })

  it('warns at once when the socket closes, and until the new snapshot', async () => {
    connect()
    socket().onclose?.({ code: 1006 })
    expect(stale()?.reason).toBe('closed')
    await vi.advanceTimersByTimeAsync(400)
    const s = socket()
    s.onopen?.()
    s.say({ t: 'hello', epoch: 'e2', server: iso(Date.now()), me: { login: 'op', name: '', role: 'operator' } })
    expect(stale()?.reason).toBe('unproved')
    s.say({ t: 'beat', epoch: 'e2', seq: 1, at: iso(Date.now()) })
    expect(stale()?.reason).toBe('unproved')
    s.say({ t: 'snapshot', epoch: 'e2', seq: 1, incidents: [] })
    expect(stale()).toBeNull()
  })

  it('believes the server that says it lags, whatever else comes', async () => {
    const s = connect()
    s.say({ t: 'beat', epoch: 'e', seq: 5, at: iso(Date.now()), stale: true })
    expect(stale()?.reason).toBe('behind')
    s.say({ t: 'delta', epoch: 'e', prev: 5, seq: 6, incidents: [] })
    expect(stale()?.reason).toBe('behind')
    s.say({ t: 'beat', epoch: 'e', seq: 6, at: iso(Date.now()) })
    expect(stale()).toBeNull()
  })

  it('asks for a snapshot after a gap and is stale until it comes', () => {
    const s = connect()
    s.say({ t: 'delta', epoch: 'e', prev: 8, seq: 9, incidents: [] })
    expect(s.of('resync')).toHaveLength(1)
    expect(stale()?.reason).toBe('unproved')
    s.say({ t: 'delta', epoch: 'e', prev: 9, seq: 10, incidents: [] })
    expect(s.of('resync')).toHaveLength(1)
    s.say({ t: 'snapshot', epoch: 'e', seq: 10, incidents: [row({ version: 9 })] })
    expect(stale()).toBeNull()
    expect(live.board.row('i1')?.peek().version).toBe(9)
  })

  it('asks again when the promised snapshot does not come', async () => {
    const s = connect()
    s.say({ t: 'delta', epoch: 'e', prev: 8, seq: 9, incidents: [] })
    await run(5, s, 9)
    expect(s.of('resync').length).toBeGreaterThan(1)
    expect(stale()).not.toBeNull()
  })

  it('is not calmed after a silence by a frame that proves nothing', async () => {
    const s = connect()
    await vi.advanceTimersByTimeAsync(1_800)
    s.say({ t: 'result', id: 'whatever', ok: true })
    expect(stale()?.reason).toBe('unproved')
    s.say({ t: 'beat', epoch: 'e', seq: 5, at: iso(Date.now()) })
    expect(stale()).toBeNull()
  })

  it('gives up a socket that is open and dead', async () => {
    const s = connect()
    await vi.advanceTimersByTimeAsync(8_000)
    expect(s.closed).toBe(true)
    expect(sockets.length).toBeGreaterThan(1)
  })
})

describe('connection', () => {
  it('waits longer after each failure, never above the limit', async () => {
    const pauses: number[] = []
    for (let n = 0; n < 8; n++) {
      const count = sockets.length
      const from = Date.now()
      socket().onclose?.({ code: 1006 })
      while (sockets.length === count) await vi.advanceTimersByTimeAsync(50)
      pauses.push(Date.now() - from)
    }
    expect(pauses[0]).toBeLessThan(500)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(5_050)
    expect(pauses.at(-1)).toBeGreaterThan(2_000)
  })

  it('goes to the login page on 4001, and when a refused handshake turns out to be one', async () => {
    connect()
    socket().onclose?.({ code: 4001 })
    expect(gone).toBe(1)
    live = start()
    session = 'gone'
    socket().onclose?.({ code: 1006 })
    await vi.advanceTimersByTimeAsync(1_000)
    socket().onclose?.({ code: 1006 })
    await vi.advanceTimersByTimeAsync(2_000)
    expect(gone).toBe(2)
  })

  it('says nothing in the name of another login', () => {
    live.command('i1', 'hangUp')
    const s = socket()
    s.onopen?.()
    s.say({ t: 'hello', epoch: 'e', server: iso(Date.now()), me: { login: 'else', name: '', role: 'operator' } })
    s.say({ t: 'snapshot', epoch: 'e', seq: 1, incidents: [] })
    expect(others.map((m) => m.login)).toEqual(['else'])
    expect(s.of('cmd')).toHaveLength(0)
  })

  it('keeps the clock by the server and not by this computer', async () => {
    const s = socket()
    s.onopen?.()
    s.say({ t: 'hello', epoch: 'e', server: iso(Date.now() + 3_600_000), me: { login: 'op', name: '', role: 'operator' } })
    expect(live.serverNow()).toBe(Date.now() + 3_600_000)
  })
})

describe('commands', () => {
  it('resends with the same id after a reconnect until the result comes', async () => {
    const s = connect()
    live.command('i1', 'hangUp')
    expect(s.of('cmd').map((c) => c.id)).toEqual(['cmd-1'])
    s.onclose?.({ code: 1006 })
    await vi.advanceTimersByTimeAsync(400)
    const s2 = connect()
    expect(s2.of('cmd').map((c) => c.id)).toEqual(['cmd-1'])
    s2.say({ t: 'result', id: 'cmd-1', ok: true })
    expect(live.outbox.pending.peek().size).toBe(0)
    s2.onclose?.({ code: 1006 })
    await vi.advanceTimersByTimeAsync(400)
    expect(connect().of('cmd')).toHaveLength(0)
  })

  it('keeps a command that was given without a connection', async () => {
    live.command('i1', 'hangUp')
    expect(connect().of('cmd').map((c) => c.id)).toEqual(['cmd-1'])
  })

  it('survives the tab: a new page sends it again with the same id', () => {
    connect()
    live.command('i1', 'reply', { status: 'accepted', service: 'fire' })
    live.stop()
    live = start()
    expect(connect().of('cmd')).toMatchObject([{ id: 'cmd-1', kind: 'reply', status: 'accepted' }])
  })

  it('says when the answer is late, and repeats', async () => {
    const s = connect()
    live.command('i1', 'hangUp')
    await run(6)
    expect(live.outbox.of('i1', 'hangUp')?.late).toBe(true)
    expect(s.of('cmd').map((c) => c.id)).toEqual(['cmd-1', 'cmd-1'])
  })

  it('keeps a refusal for its field and treats «busy» as no answer', async () => {
    const s = connect()
    live.command('i1', 'send', { form: { type: 'fire', place: '', description: '' } })
    s.say({ t: 'result', id: 'cmd-1', ok: false, error: { code: 'invalid', field: 'place', ru: 'р', en: 'e' } })
    expect(live.outbox.failure('i1', 'send')?.error.field).toBe('place')
    live.command('i1', 'hangUp')
    s.say({ t: 'result', id: 'cmd-2', ok: false, error: { code: 'busy', ru: '', en: '' } })
    expect(live.outbox.of('i1', 'hangUp')?.late).toBe(true)
  })
})

describe('drafts', () => {
  const card = (): Incident => {
    const i = live.board.row('i1')?.peek()
    if (i === undefined) throw new Error('no card')
    return i
  }

  it('saves within a second of the last key, once', async () => {
    const s = connect()
    for (const text of ['N', 'Ne', 'Nev']) {
      live.drafts.type(card(), 'place', text)
      await vi.advanceTimersByTimeAsync(100)
    }
    await vi.advanceTimersByTimeAsync(900)
    expect(s.of('cmd')).toMatchObject([{ kind: 'save', form: { place: 'Nev', base: { place: '' } } }])
    expect(Object.keys(s.of('cmd')[0]?.form as object)).toEqual(['place', 'base'])
  })

  it('sends what was typed meanwhile after the first save is answered', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'A')
    await vi.advanceTimersByTimeAsync(700)
    live.drafts.type(card(), 'place', 'AB')
    await run(2)
    expect(s.of('cmd')).toHaveLength(1)
    s.say({ t: 'delta', epoch: 'e', prev: 5, seq: 6, incidents: [row({ version: 2, place: 'A' })] })
    s.say({ t: 'result', id: 'cmd-1', ok: true })
    await vi.advanceTimersByTimeAsync(700)
    expect(s.of('cmd').at(-1)).toMatchObject({ kind: 'save', form: { place: 'AB' } })
  })

  it('keeps every letter over a killed tab', () => {
    connect()
    live.drafts.type(card(), 'description', 'smoke on the 3rd floor')
    live.stop() // no time passed: nothing was sent
    live = start()
    connect()
    expect(live.drafts.of('i1').peek().fields.description?.mine).toBe('smoke on the 3rd floor')
  })

  it('leaves nothing on the disk once the server has the text', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'A')
    await vi.advanceTimersByTimeAsync(700)
    s.say({ t: 'result', id: 'cmd-1', ok: true, incident: row({ version: 2, place: 'A' }) })
    expect(storage.length).toBe(0)
  })

  it('does not save over another person\'s text before somebody chose', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'mine')
    s.say({ t: 'delta', epoch: 'e', prev: 5, seq: 6, incidents: [row({ version: 2, place: 'theirs' })] })
    await vi.advanceTimersByTimeAsync(2_000)
    expect(s.of('cmd')).toHaveLength(0)
    expect(live.drafts.send(card())).toEqual(['place'])
    live.drafts.resolve(card(), 'place', 'mine')
    await vi.advanceTimersByTimeAsync(700)
    expect(s.of('cmd')).toMatchObject([{ kind: 'save', form: { place: 'mine', base: { place: 'theirs' } } }])
  })

  it('never saves the changes of a registered card by itself', async () => {
    const s = connect([row({ state: 'dispatched', type: 'fire', place: 'A' })])
    live.drafts.type(card(), 'place', 'B')
    await run(3)
    expect(s.of('cmd')).toHaveLength(0)
    expect(live.drafts.send(card())).toEqual([])
    expect(s.of('cmd')).toMatchObject([{ kind: 'send', form: { place: 'B', base: { place: 'A' } } }])
  })
})

describe('two people at one draft', () => {
  const card = (): Incident => {
    const i = live.board.row('i1')?.peek()
    if (i === undefined) throw new Error('no card')
    return i
  }
  const changed = { code: 'conflict', field: 'place', ru: 'р', en: 'e' }
  const forms = (s: FakeSocket): unknown[] => s.of('cmd').map((c) => c.form)

  it('keeps both texts when one typed offline and the other changed another field', async () => {
    connect().onclose?.({ code: 1006 })
    live.drafts.type(card(), 'description', 'smoke')
    await vi.advanceTimersByTimeAsync(2_000)
    const s = connect([row({ version: 2, place: 'Nevsky 1' })])
    await vi.advanceTimersByTimeAsync(700)
    expect(forms(s)).toEqual([{ description: 'smoke', base: { description: '' } }])
    expect(live.drafts.of('i1').peek().fields.place).toBeUndefined()
  })

  it('keeps both texts when both type at once', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'Nevsky 1')
    s.say({ t: 'delta', epoch: 'e', prev: 5, seq: 6, incidents: [row({ version: 2, description: 'smoke' })] })
    await vi.advanceTimersByTimeAsync(700)
    expect(forms(s)).toEqual([{ place: 'Nevsky 1', base: { place: '' } }])
  })

  it('shows both texts when the server refused, and sends what was chosen; the other fields go on', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'mine')
    live.drafts.type(card(), 'description', 'smoke')
    await vi.advanceTimersByTimeAsync(700)
    s.say({ t: 'result', id: 'cmd-1', ok: false, error: changed, incident: row({ version: 2, place: 'theirs' }) })
    expect(live.drafts.of('i1').peek().fields.place).toMatchObject({ mine: 'mine', theirs: 'theirs' })
    await vi.advanceTimersByTimeAsync(700)
    expect(forms(s).at(-1)).toEqual({ description: 'smoke', base: { description: '' } })
    s.say({ t: 'result', id: 'cmd-2', ok: true, incident: row({ version: 3, place: 'theirs', description: 'smoke' }) })
    expect(live.drafts.send(card())).toEqual(['place'])
    live.drafts.resolve(card(), 'place', 'mine')
    live.drafts.send(card())
    expect(s.of('cmd')).toHaveLength(3)
    expect(s.of('cmd').at(-1)).toMatchObject({ kind: 'send', form: { place: 'mine', base: { place: 'theirs' } } })
  })

  it('waits for the card when the refusal came without it, and does not ask in circles', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'mine')
    live.drafts.type(card(), 'description', 'smoke')
    await vi.advanceTimersByTimeAsync(700)
    s.say({ t: 'result', id: 'cmd-1', ok: false, error: changed })
    await run(3)
    expect(s.of('cmd')).toHaveLength(1)
    s.say({ t: 'delta', epoch: 'e', prev: 5, seq: 6, incidents: [row({ version: 2, place: 'theirs' })] })
    await vi.advanceTimersByTimeAsync(700)
    expect(forms(s).at(-1)).toEqual({ description: 'smoke', base: { description: '' } })
  })

  it('sends the form only after the save before it, and grown from it', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'A')
    await vi.advanceTimersByTimeAsync(700)
    live.drafts.type(card(), 'place', 'AB')
    live.drafts.send(card())
    expect(s.of('cmd').map((c) => c.kind)).toEqual(['save'])
    s.say({ t: 'result', id: 'cmd-1', ok: true, incident: row({ version: 2, place: 'A' }) })
    expect(s.of('cmd').at(-1)).toMatchObject({ id: 'cmd-2', kind: 'send', form: { place: 'AB', base: { place: 'A' } } })
    s.say({ t: 'result', id: 'cmd-2', ok: true, incident: row({ version: 3, state: 'registered', place: 'AB' }) })
    expect(live.drafts.of('i1').peek().sent).toEqual([])
    expect(storage.length).toBe(0)
  })

  it('sends from what the save grew from when that was refused', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'A')
    await vi.advanceTimersByTimeAsync(700)
    live.drafts.send(card()) // the same text: it goes again, because the save may fail
    s.say({ t: 'result', id: 'cmd-1', ok: false, error: { ...changed, field: '' }, incident: row({ version: 2, state: 'dispatched' }) })
    expect(s.of('cmd').at(-1)).toMatchObject({ kind: 'send', form: { place: 'A', base: { place: '' } } })
  })

  it('keeps bases and order over a reload, and resends the same after a reconnect', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'A')
    await vi.advanceTimersByTimeAsync(700)
    live.drafts.type(card(), 'place', 'AB')
    live.drafts.send(card())
    s.onclose?.({ code: 1006 })
    live.stop()
    live = start()
    const s2 = connect([row({ version: 2, place: 'A' })]) // the save had arrived
    expect(forms(s2)).toEqual([{ place: 'A', base: { place: '' } }])
    s2.say({ t: 'result', id: 'cmd-1', ok: true, incident: row({ version: 2, place: 'A' }) })
    expect(forms(s2).at(-1)).toEqual({ place: 'AB', base: { place: 'A' } })
    expect(live.drafts.of('i1').peek().fields.place?.theirs ?? null).toBeNull()
  })

  it('rewrites a shelved form when the one before it is refused in the next life of the tab', async () => {
    connect()
    live.drafts.type(incident(), 'place', 'A')
    await vi.advanceTimersByTimeAsync(700)
    live.drafts.type(card(), 'place', 'AB')
    live.drafts.send(card())
    live.stop()
    live = start()
    const s = connect([row({ version: 2, place: 'theirs' })])
    s.say({ t: 'result', id: 'cmd-1', ok: false, error: changed, incident: row({ version: 2, place: 'theirs' }) })
    expect(forms(s).at(-1)).toEqual({ place: 'AB', base: { place: '' } }) // the server will refuse it too
    s.say({ t: 'result', id: 'cmd-2', ok: false, error: changed, incident: row({ version: 2, place: 'theirs' }) })
    expect(live.drafts.of('i1').peek().fields.place).toMatchObject({ mine: 'AB', theirs: 'theirs' })
  })

  it('keeps the order of one millisecond on a disk that keeps none', () => {
    const shelf = new CommandShelf(storage, 'op')
    for (const id of ['b', 'c', 'a']) shelf.put({ id, incident: 'i1', kind: 'save', form: {} })
    shelf.put({ id: 'b', incident: 'i1', kind: 'save', form: { place: 'x' } }) // again, in its place
    expect(new CommandShelf(storage, 'op').load().map((c) => c.id)).toEqual(['b', 'c', 'a'])
    storage.key = (n) => storage.keys().reverse()[n] ?? null
    expect(new CommandShelf(storage, 'op').load().map((c) => c.id)).toEqual(['b', 'c', 'a'])
  })

  it('is not misled by an old row that comes late', async () => {
    const s = connect()
    live.drafts.type(card(), 'place', 'A')
    await vi.advanceTimersByTimeAsync(700)
    s.say({ t: 'result', id: 'cmd-1', ok: true, incident: row({ version: 3, place: 'A' }) })
    live.drafts.enter(card(), 'place')
    live.drafts.type(card(), 'place', 'AB')
    s.say({ t: 'delta', epoch: 'e', prev: 5, seq: 6, incidents: [row({ version: 2, description: 'x' })] })
    expect(live.drafts.of('i1').peek().fields.place).toMatchObject({ mine: 'AB', base: 'A', theirs: null })
  })
})

describe('a command too big', () => {
  const huge = 'ы'.repeat(300_000)
  const commands = (): number => storage.keys().filter((k) => k.startsWith('nabat.command.')).length

  it('fails here, at once and visibly, and is not kept', () => {
    const s = connect()
    live.command('i1', 'close', { reason: huge })
    expect(s.of('cmd')).toHaveLength(0)
    expect(live.outbox.failure('i1', 'close')?.error.ru).not.toBe('')
    expect(commands()).toBe(0)
    live.command('i1', 'hangUp')
    expect(s.of('cmd')).toHaveLength(1)
  })

  it('fails when a former page has left it on the shelf', () => {
    live.stop()
    storage.setItem('nabat.command.op/x', JSON.stringify({ at: 1, command: { id: 'x', incident: 'i1', kind: 'close', reason: huge } }))
    live = start()
    expect(connect().of('cmd')).toHaveLength(0)
    expect(live.outbox.failure('i1', 'close')?.error.code).toBe('invalid')
    expect(commands()).toBe(0)
  })

  it('fails when the server closed the line for it, and the others go on', async () => {
    const s = connect()
    live.command('i1', 'hangUp')
    live.command('i1', 'close', { reason: 'a long one' })
    s.onclose?.({ code: 1009 })
    await vi.advanceTimersByTimeAsync(400)
    expect(connect().of('cmd').map((c) => c.kind)).toEqual(['hangUp'])
    expect(live.outbox.failure('i1', 'close')?.error.code).toBe('invalid')
  })

  it('is the only one to fail: another end of the line fails nothing', async () => {
    const s = connect()
    live.command('i1', 'hangUp')
    s.onclose?.({ code: 1008 })
    await vi.advanceTimersByTimeAsync(400)
    expect(connect().of('cmd')).toHaveLength(1)
  })
})

describe('notes', () => {
  const again = (me: Me = operator): void => {
    live.stop()
    live = start(me)
    connect()
  }
  const note = () => live.notes.of('i1').peek()

  it('keep a refusal and a reason over a reload until they are sent', () => {
    connect()
    live.notes.change('i1', { refusing: 'refused', comment: 'no car' })
    live.notes.change('i1', { ending: 'cancel', reason: 'a prank' })
    again()
    expect(note()).toMatchObject({ refusing: 'refused', comment: 'no car', ending: 'cancel', reason: 'a prank' })
    live.command('i1', 'reply', { status: 'refused', comment: 'no car' })
    expect(note()).toMatchObject({ refusing: null, comment: '', reason: 'a prank' })
    live.command('i1', 'cancel', { reason: 'a prank' })
    expect(storage.keys().filter((k) => k.startsWith('nabat.note.'))).toEqual([])
    again()
    expect(note()).toMatchObject({ refusing: null, comment: '', ending: null, reason: '' })
  })

  it('come back when the server refuses, but never over newer words', () => {
    const s = connect()
    const no = { code: 'conflict', ru: '', en: '' }
    live.notes.change('i1', { comment: 'no car' })
    live.command('i1', 'reply', { status: 'refused', comment: 'no car' })
    s.say({ t: 'result', id: 'cmd-1', ok: false, error: no })
    expect(note().comment).toBe('no car')
    live.command('i1', 'reply', { status: 'refused', comment: 'no car' })
    live.notes.change('i1', { comment: 'newer' })
    s.say({ t: 'result', id: 'cmd-2', ok: false, error: no })
    expect(note().comment).toBe('newer')
  })

  it('are of one card and one person, and go with the card', () => {
    connect()
    live.notes.change('i1', { comment: 'mine' })
    expect(live.notes.of('i2').peek().comment).toBe('')
    again(fireDuty)
    expect(note().comment).toBe('')
    again({ ...operator, login: 'o' })
    expect(note().comment).toBe('')
    live.stop()
    live = start()
    const s = connect()
    expect(note().comment).toBe('mine')
    s.say({ t: 'delta', epoch: 'e', prev: 5, seq: 6, incidents: [row({ version: 2, state: 'cancelled' })] })
    expect(storage.length).toBe(0)
  })

  it('do not find what a login with a dot left', () => {
    live.stop()
    live = start({ ...operator, login: 'op.2' })
    live.command('i1', 'hangUp')
    live.stop()
    live = start()
    expect(connect().of('cmd')).toHaveLength(0)
  })
})

describe('attention', () => {
  it('rings for news only, and once over reconnects', async () => {
    const s = connect()
    expect(rung).toHaveLength(0)
    s.say({ t: 'delta', epoch: 'e', prev: 5, seq: 6, incidents: [row({ id: 'i2' })] })
    expect(rung.map((i) => i.id)).toEqual(['i2'])
    s.say({ t: 'delta', epoch: 'e', prev: 6, seq: 7, incidents: [row({ id: 'i2', version: 2, place: 'x' })] })
    s.onclose?.({ code: 1006 })
    await vi.advanceTimersByTimeAsync(400)
    connect([row(), row({ id: 'i2', version: 2 }), row({ id: 'i3' })], 'e2', 1)
    expect(rung.map((i) => i.id)).toEqual(['i2', 'i3'])
  })
})

describe('journal', () => {
  it('watches one card, appends by number, ignores repeats, and watches again after a reconnect', async () => {
    const s = connect()
    live.watch('i1')
    const e = (seq: number) => ({ seq, id: `e${seq}`, incident: 'i1', version: seq, at: iso(T0), actor: 'system', kind: 'opened' })
    s.say({ t: 'events', incident: 'i1', events: [e(1), e(3)] })
    s.say({ t: 'events', incident: 'i1', events: [e(2), e(3)] })
    s.say({ t: 'events', incident: 'other', events: [e(9)] })
    expect(live.journals.peek().get('i1')?.map((x) => x.seq)).toEqual([1, 2, 3])
    s.onclose?.({ code: 1006 })
    await vi.advanceTimersByTimeAsync(400)
    expect(connect().of('watch')).toMatchObject([{ incident: 'i1' }])
  })

  it('asks again for a journal that does not come', async () => {
    const s = connect()
    live.watch('i1')
    await run(4)
    expect(s.of('watch')).toHaveLength(2)
  })

  it('asks for a card that the board does not hold', async () => {
    connect()
    live.watch('elsewhere')
    await vi.advanceTimersByTimeAsync(10)
    expect(live.missing.peek().has('elsewhere')).toBe(true)
  })
})
