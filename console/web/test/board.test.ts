import { describe, expect, it } from 'vitest'
import { Board } from '../src/model/board'
import { incident } from './make'

const snapshot = (seq: number, ...incidents: ReturnType<typeof incident>[]) => ({ t: 'snapshot' as const, epoch: 'e', seq, incidents })
const delta = (prev: number, seq: number, ...incidents: ReturnType<typeof incident>[]) => ({
  t: 'delta' as const, epoch: 'e', prev, seq, incidents,
})
const hello = (epoch = 'e') => ({
  t: 'hello' as const, epoch, server: undefined, me: { login: 'x', name: '', role: 'operator' as const, service: '' },
})

const connected = (): Board => {
  const b = new Board()
  b.apply(hello())
  b.apply(snapshot(10, incident()))
  return b
}

describe('board', () => {
  it('takes a snapshot and unbroken deltas', () => {
    const b = connected()
    expect(b.apply(delta(10, 12, incident({ version: 2, place: 'Fontanka 1' }))).kind).toBe('proved')
    expect(b.row('i1')?.peek().place).toBe('Fontanka 1')
    expect(b.apply(delta(12, 13, incident({ id: 'i2' }))).kind).toBe('proved')
    expect(b.all()).toHaveLength(2)
  })

  it('asks once for a snapshot after a gap and applies nothing meanwhile', () => {
    const b = connected()
    expect(b.apply(delta(11, 12, incident({ version: 5, place: 'lost' }))).kind).toBe('resync')
    expect(b.apply(delta(12, 13, incident({ version: 6, place: 'lost too' }))).kind).toBe('waiting')
    expect(b.row('i1')?.peek().place).toBe('')
    expect(b.apply(snapshot(13, incident({ version: 6, place: 'lost too' }))).kind).toBe('proved')
    expect(b.row('i1')?.peek().place).toBe('lost too')
    expect(b.apply(delta(13, 14)).kind).toBe('proved')
  })

  it('does not believe a delta or a beat of another epoch', () => {
    const b = connected()
    expect(b.apply({ ...delta(10, 11), epoch: 'other' }).kind).toBe('resync')
    const c = connected()
    expect(c.apply({ t: 'beat', epoch: 'other', seq: 10, at: undefined, stale: false }).kind).toBe('resync')
  })

  it('takes a beat with its own number as proof, and one ahead as a gap', () => {
    const b = connected()
    expect(b.apply({ t: 'beat', epoch: 'e', seq: 10, at: undefined, stale: false }).kind).toBe('proved')
    expect(b.apply({ t: 'beat', epoch: 'e', seq: 11, at: undefined, stale: false }).kind).toBe('resync')
  })

  it('believes nothing on a new connection before its snapshot', () => {
    const b = connected()
    b.connectionLost()
    b.apply(hello('e2'))
    expect(b.apply({ t: 'delta', epoch: 'e2', prev: 10, seq: 11, incidents: [] }).kind).toBe('waiting')
    expect(b.apply({ t: 'snapshot', epoch: 'e2', seq: 3, incidents: [] }).kind).toBe('proved')
  })

  it('replaces everything by a snapshot, even by an older version, and names what vanished', () => {
    const b = connected()
    b.apply(delta(10, 11, incident({ version: 7, place: 'wrong' }), incident({ id: 'gone' })))
    b.apply(snapshot(2, incident({ version: 3, place: 'right' })))
    expect(b.row('i1')?.peek().place).toBe('right')
    expect([...b.vanished.peek()]).toEqual(['gone'])
  })

  it('does not go back to an older version of a row by a late result', () => {
    const b = connected()
    b.apply(delta(10, 11, incident({ version: 4, place: 'new' })))
    b.learn(incident({ version: 3, place: 'old' }))
    expect(b.row('i1')?.peek().place).toBe('new')
  })

  it('keeps a bounded number of closed rows', () => {
    const b = connected()
    for (let n = 0; n < 500; n++) {
      b.apply(delta(10 + n, 11 + n, incident({ id: `c${n}`, state: 'closed' })))
    }
    expect(b.all().length).toBeLessThanOrEqual(201)
    expect(b.row('i1')).toBeDefined()
  })
})
