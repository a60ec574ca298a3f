import { readClassifier, readEvent, readIncident, readMe } from '../model/read'
import type { Classifier, Incident, JournalEvent, Me } from '../model/protocol'

// The few plain HTTP questions; everything live goes over the socket.

export type LoginResult = { ok: true; me: Me } | { ok: false; why: 'wrong' | 'tooMany' | 'away' }

export interface Api {
  login(login: string, password: string): Promise<LoginResult>
  logout(): Promise<boolean> // false: the server did not say that the session is over
  me(): Promise<Me | 'gone' | 'unreachable'>
  classifier(): Promise<Classifier | undefined>
  incident(id: string): Promise<Incident | 'none' | 'unreachable'>
  events(id: string): Promise<JournalEvent[] | undefined>
}

const timeoutMs = 5_000

async function ask(path: string, init: RequestInit = {}): Promise<Response | undefined> {
  try {
    return await fetch(`/api/v1/${path}`, {
      credentials: 'same-origin',
      cache: 'no-store',
      signal: AbortSignal.timeout(timeoutMs),
      ...init,
    })
  } catch {
    return undefined
  }
}

async function json(r: Response): Promise<unknown> {
  try {
    return await r.json()
  } catch {
    return undefined
  }
}

export const httpApi: Api = {
  async login(login, password) {
    const r = await ask('login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ login, password }),
    })
    if (r === undefined || r.status >= 500) return { ok: false, why: 'away' }
    if (r.status === 429) return { ok: false, why: 'tooMany' }
    const me = r.ok ? readMe(await json(r)) : undefined
    return me === undefined ? { ok: false, why: r.ok ? 'away' : 'wrong' } : { ok: true, me }
  },
  async logout() {
    const r = await ask('logout', { method: 'POST' })
    return r !== undefined && (r.ok || r.status === 401)
  },
  async me() {
    const r = await ask('me')
    if (r === undefined) return 'unreachable'
    if (r.status === 401 || r.status === 403) return 'gone'
    return (r.ok ? readMe(await json(r)) : undefined) ?? 'unreachable'
  },
  async classifier() {
    const r = await ask('classifier')
    return r?.ok ? readClassifier(await json(r)) : undefined
  },
  async incident(id) {
    const r = await ask(`incidents/${encodeURIComponent(id)}`)
    if (r === undefined || r.status >= 500) return 'unreachable'
    return (r.ok ? readIncident(await json(r)) : undefined) ?? 'none'
  },
  async events(id) {
    const r = await ask(`incidents/${encodeURIComponent(id)}/events?limit=500`)
    const body = r?.ok ? await json(r) : undefined
    if (typeof body !== 'object' || body === null || !('items' in body) || !Array.isArray(body.items)) return undefined
    return body.items.map(readEvent).filter((e) => e !== undefined)
  },
}
