import type { Assignment, Incident, Me } from '../src/model/protocol'

// Values for tests: a whole row with a few fields of one's own.

export const T0 = Date.parse('2026-11-24T09:00:00Z')

export const assignment = (over: Partial<Assignment> = {}): Assignment => ({
  id: 'a1', service: 'fire', state: 'added', rule: '', ruleset: 0, why: '', whyEn: '', addedBy: '', orderNumber: '',
  comment: '', undeliverable: '', addedAt: T0, publishedAt: undefined, receivedAt: undefined, decidedAt: undefined,
  enRouteAt: undefined, arrivedAt: undefined, workingAt: undefined, finishedAt: undefined, ...over,
})

export const incident = (over: Partial<Incident> = {}): Incident => ({
  id: 'i1', number: 1, state: 'draft', origin: 'call', type: '', class: '', facilityId: '', facilityName: '',
  unknownFacility: false, place: '', district: '', lat: undefined, lon: undefined, description: '', caller: '',
  openedAt: T0, registeredAt: undefined, closedAt: undefined, closeReason: '', lastSignalAt: undefined, version: 1,
  assignments: [], contacts: [], ...over,
})

export const operator: Me = { login: 'op', name: 'Op', role: 'operator', service: '' }
export const fireDuty: Me = { login: 'fire1', name: 'F', role: 'duty', service: 'fire' }

export class FakeStorage implements Storage {
  private readonly map = new Map<string, string>()
  get length(): number {
    return this.map.size
  }
  keys(): string[] {
    return [...this.map.keys()]
  }
  clear = (): void => this.map.clear()
  getItem = (k: string): string | null => this.map.get(k) ?? null
  key = (n: number): string | null => [...this.map.keys()][n] ?? null
  removeItem = (k: string): void => void this.map.delete(k)
  setItem = (k: string, v: string): void => void this.map.set(k, v)
}
