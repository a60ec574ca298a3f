import { describe, expect, it } from 'vitest'
import { compare, hold, matches, waitsForMe } from '../src/model/order'
import type { Contact } from '../src/model/protocol'
import { nextSteps } from '../src/model/rights'
import { assignment, fireDuty, incident, operator, T0 } from './make'

const call = (state: string, over: Partial<Contact> = {}): Contact => ({
  id: 'c', kind: 'call', state, caller: '', receivedAt: T0, answeredAt: undefined, endedAt: undefined, endReason: '',
  callbackDue: false, ...over,
})

describe('order', () => {
  it('puts those who wait for a person first, longest wait on top, then the newest', () => {
    const rows = [
      incident({ id: 'old', state: 'dispatched', openedAt: T0, assignments: [assignment()] }),
      incident({ id: 'new', state: 'dispatched', openedAt: T0 + 9_000, assignments: [assignment()] }),
      incident({ id: 'sms', openedAt: T0 - 60_000 }),
      incident({ id: 'unknown', unknownFacility: true, openedAt: T0 + 1_000 }),
      incident({ id: 'call2', contacts: [call('ringing')], openedAt: T0 + 3_000 }),
      incident({ id: 'call1', contacts: [call('answered')], openedAt: T0 + 2_000 }),
    ]
    expect(rows.sort(compare(operator)).map((i) => i.id)).toEqual(['call1', 'call2', 'unknown', 'sms', 'new', 'old'])
  })

  it('puts a service\'s undecided cards first for its duty officer only', () => {
    const mine = incident({ state: 'dispatched', assignments: [assignment()] })
    const taken = incident({ state: 'under_way', assignments: [assignment({ state: 'accepted' })] })
    const others = incident({ state: 'dispatched', assignments: [assignment({ service: 'gas' })] })
    expect([mine, taken, others].map((i) => waitsForMe(i, fireDuty))).toEqual([true, false, false])
    expect(waitsForMe(mine, operator)).toBe(false)
  })

  it('brings a card that nobody takes back to a person', () => {
    const of = (...list: Parameters<typeof assignment>[0][]) =>
      waitsForMe(incident({ state: 'dispatched', assignments: list.map((a) => assignment(a)) }), operator)
    expect(of({ state: 'refused' }, { service: 'gas', state: 'refused' })).toBe(true)
    expect(of({ state: 'refused' }, { service: 'gas', state: 'accepted' })).toBe(false)
    expect(of({ state: 'added', undeliverable: 'too big' }, { service: 'gas', state: 'accepted' })).toBe(true)
    expect(of()).toBe(true)
    expect(of({ state: 'published' })).toBe(false)
  })

  it('moves no row under the hand', () => {
    expect(hold(['a', 'b', 'c'], ['n', 'c', 'a', 'm'])).toEqual({ ids: ['a', 'b', 'c'], waiting: 2 })
  })

  it('finds words in any order', () => {
    const i = incident({ place: 'Nevsky 88', caller: '+7921' })
    const hay = () => `${i.place} ${i.caller}`
    expect(matches(i, { text: '7921 nevsky', state: 'all' }, operator, hay)).toBe(true)
    expect(matches(i, { text: 'fontanka', state: 'all' }, operator, hay)).toBe(false)
    expect(matches(i, { text: '', state: 'worked' }, operator, hay)).toBe(false)
  })

  it('offers a duty officer only the steps that may come next', () => {
    const at = (state: Parameters<typeof assignment>[0]) => nextSteps(incident({ state: 'under_way', assignments: [assignment(state)] }), fireDuty)
    expect(at({ state: 'published' })).toEqual(['accepted', 'refused'])
    expect(at({ state: 'refused' })).toEqual(['accepted'])
    expect(at({ state: 'arrived' })).toEqual(['working', 'completed', 'work_refused'])
    expect(at({ state: 'completed' })).toEqual([])
    expect(nextSteps(incident({ assignments: [assignment()] }), operator)).toEqual([])
  })
})
