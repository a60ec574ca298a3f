import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FakeStorage } from './make'

// The page's own state over made-up HTTP: a logout that finds no server.

let storage: FakeStorage
let asked: string[]
let server: 'away' | 'broken' | 'good'
let session: boolean // the cookie is good

const me = { login: 'op', name: 'Op', role: 'operator' }
const answer = (status: number, body: unknown = {}): Response =>
  new Response(status === 204 ? null : JSON.stringify(body), { status })

const fetched = async (path: string): Promise<Response> => {
  asked.push(path.replace('/api/v1/', ''))
  if (server === 'away') throw new TypeError('no network')
  if (server === 'broken') return answer(503)
  switch (path) {
    case '/api/v1/logout':
      if (!session) return answer(401)
      session = false
      return answer(204)
    case '/api/v1/login':
      session = true
      return answer(200, me)
    case '/api/v1/me':
      return session ? answer(200, me) : answer(401)
    default:
      return answer(404)
  }
}

// page is a fresh load of the page on this computer.
const page = async (): Promise<typeof import('../src/store/app')> => {
  vi.resetModules()
  return import('../src/store/app')
}

beforeEach(() => {
  vi.useFakeTimers()
  storage = new FakeStorage()
  asked = []
  server = 'good'
  session = true
  vi.stubGlobal('localStorage', storage)
  vi.stubGlobal('fetch', fetched)
  vi.stubGlobal('location', { protocol: 'http:', host: 'x', hash: '' })
  vi.stubGlobal('WebSocket', class { close(): void {} })
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('logout', () => {
  it('ends the session and owes nothing when the server is there', async () => {
    const app = await page()
    await app.start()
    expect(app.phase.peek()).toBe('live')
    await app.logout()
    expect(app.phase.peek()).toBe('login')
    expect(session).toBe(false)
    expect(storage.getItem('nabat.leaving')).toBeNull()
  })

  it('without a server shows nothing more at once, and is finished when the server is back', async () => {
    const app = await page()
    await app.start()
    server = 'away'
    await app.logout()
    expect(app.phase.peek()).toBe('login')
    expect(app.live.peek()).toBeNull()
    server = 'broken'
    await vi.advanceTimersByTimeAsync(1_600)
    expect(session).toBe(true)
    server = 'good'
    await vi.advanceTimersByTimeAsync(1_600)
    expect(session).toBe(false)
    const n = asked.length
    await vi.advanceTimersByTimeAsync(10_000)
    expect(asked.length).toBe(n)
  })

  it('is finished before anything else by the next page', async () => {
    const before = await page()
    await before.start()
    server = 'away'
    await before.logout()
    vi.clearAllTimers() // the tab is gone
    const app = await page()
    asked = []
    await app.start()
    expect(app.phase.peek()).toBe('login')
    expect(asked).toEqual(['logout']) // «who am I» would be answered with the one who left
    server = 'good'
    await vi.advanceTimersByTimeAsync(1_600)
    expect(session).toBe(false)
    expect(app.phase.peek()).toBe('login')
    vi.clearAllTimers()
    const next = await page()
    await next.start()
    expect(next.phase.peek()).toBe('login')
  })

  it('is finished before another login, which fails while it cannot be', async () => {
    const app = await page()
    await app.start()
    server = 'away'
    await app.logout()
    expect(await app.login('b', 'secret')).toBe('away')
    expect(asked).not.toContain('login')
    server = 'good'
    asked = []
    expect(await app.login('b', 'secret')).toBe('ok')
    expect(asked.slice(0, 2)).toEqual(['logout', 'login'])
    await vi.advanceTimersByTimeAsync(5_000)
    expect(session).toBe(true)
    expect(app.phase.peek()).toBe('live')
    app.live.peek()?.stop()
  })

  it('is finished when the session had ended by itself', async () => {
    const app = await page()
    await app.start()
    session = false
    await app.logout()
    expect(storage.getItem('nabat.leaving')).toBeNull()
  })
})
