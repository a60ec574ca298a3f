import { describe, expect, it } from 'vitest'
import { readFrame, readMe } from '../src/model/read'

describe('reading frames', () => {
  it('turns absent, null and zero times into not known', () => {
    const f = readFrame(JSON.stringify({
      t: 'snapshot', epoch: 'e', seq: 1,
      incidents: [{ id: 'i', version: 1, state: 'draft', closedAt: null, registeredAt: '0001-01-01T00:00:00Z', openedAt: '2026-11-24T09:00:00.123456Z' }],
    }))
    if (f?.t !== 'snapshot') throw new Error('no snapshot')
    const [i] = f.incidents
    expect(i?.closedAt).toBeUndefined()
    expect(i?.registeredAt).toBeUndefined()
    expect(i?.openedAt).toBe(Date.parse('2026-11-24T09:00:00.123Z'))
    expect(i?.assignments).toEqual([])
  })

  it('refuses a frame with one bad row as a whole', () => {
    expect(readFrame('{"t":"delta","epoch":"e","prev":1,"seq":2,"incidents":[{"id":"i"}]}')).toBeUndefined()
    expect(readFrame('{"t":"delta","epoch":"e","seq":2,"incidents":[]}')).toBeUndefined()
    expect(readFrame('nonsense')).toBeUndefined()
    expect(readFrame('{"t":"of the future"}')).toBeUndefined()
  })

  it('reads both ways of naming a duty officer', () => {
    expect(readMe({ login: 'a', name: 'A', role: 'duty:gas' })?.service).toBe('gas')
    expect(readMe({ login: 'a', name: 'A', role: 'duty', service: 'gas' })?.service).toBe('gas')
    expect(readMe({ login: 'a', role: 'king' })).toBeUndefined()
  })
})
