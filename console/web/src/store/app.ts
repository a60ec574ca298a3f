import { effect, signal } from '@preact/signals'
import { readClassifier } from '../model/read'
import type { Filter } from '../model/order'
import type { Classifier, Incident, Me } from '../model/protocol'
import { t } from '../i18n'
import { httpApi } from './api'
import { isLeavingMark, Leaving } from './leaving'
import type { Socket } from './link'
import { Live } from './live'
import * as sound from './sound'

// The page's own state: who is in, which card is open, what is announced.

export type Phase = 'starting' | 'login' | 'live'

export const phase = signal<Phase>('starting')
export const live = signal<Live | null>(null)
export const ended = signal(false) // the login page was reached because a session ended
export const openId = signal<string | null>(null)
export const filter = signal<Filter>({ text: '', state: 'all' })
export const helpOpen = signal(false)
export const classifier = signal<Classifier | null>(null)
export const announcement = signal('')
// unseen counts what has begun to wait since the person last did something.
export const unseen = signal(0)

const leaving = new Leaving({ storage: () => localStorage, logout: () => httpApi.logout() })
const leaveAgainMs = 1_500
let leaveAgain: ReturnType<typeof setTimeout> | undefined

const classifierKey = 'nabat.classifier'

// unsentOnDisk counts the cards with unsent text of anybody on this computer.
export function unsentOnDisk(): number {
  try {
    return Array.from({ length: localStorage.length }, (_, i) => localStorage.key(i) ?? '')
      .filter((k) => k.startsWith('nabat.draft.')).length
  } catch {
    return 0
  }
}

function socketUrl(): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`
}

// randomUUID exists only where the page is trusted (HTTPS, loopback), which is
// where a console is served.
const newId = (): string => crypto.randomUUID()

function enter(me: Me): void {
  live.peek()?.stop()
  const session = new Live(me, {
    openSocket: () => new WebSocket(socketUrl()) as unknown as Socket,
    mono: () => performance.now(),
    wall: () => Date.now(),
    random: () => Math.random(),
    newId,
    storage: localStorage,
    api: httpApi,
    session: async () => {
      const m = await httpApi.me()
      return m === 'gone' ? 'gone' : m === 'unreachable' ? 'unreachable' : 'good'
    },
    sessionGone: () => leave(true),
    someoneElse: (other) => enter(other),
    urgent: (incidents) => ring(incidents),
  })
  live.value = session
  phase.value = 'live'
  ended.value = false
  session.start()
  session.watch(openId.peek())
  void loadClassifier()
}

function leave(sessionEnded: boolean): void {
  live.peek()?.stop()
  live.value = null
  ended.value = sessionEnded
  phase.value = 'login'
  unseen.value = 0
}

export async function start(): Promise<void> {
  if (leaving.due()) return leaveFirst()
  const me = await httpApi.me()
  if (leaving.due()) return leaveFirst() // in another tab, meanwhile
  if (typeof me !== 'string') enter(me)
  else if (me === 'gone') leave(false)
  else setTimeout(() => void start(), 1_500)
}

export async function login(name: string, password: string): Promise<'ok' | 'wrong' | 'tooMany' | 'away'> {
  // The new session's cookie takes the old one's place; that one must be over first.
  if (!(await leaving.finish())) return 'away'
  const r = await httpApi.login(name, password)
  if (!r.ok) return r.why
  enter(r.me)
  return 'ok'
}

// logout shows nothing more at once, whether the server can be told now or later.
export async function logout(): Promise<void> {
  leaving.begin()
  await leaveFirst()
}

async function leaveFirst(): Promise<void> {
  leave(false)
  await finishLeaving()
}

async function finishLeaving(): Promise<void> {
  clearTimeout(leaveAgain)
  if (!(await leaving.finish())) leaveAgain = setTimeout(() => void finishLeaving(), leaveAgainMs)
}

async function loadClassifier(): Promise<void> {
  const kept = localStorage.getItem(classifierKey)
  if (classifier.peek() === null && kept !== null) {
    try {
      classifier.value = readClassifier(JSON.parse(kept)) ?? null
    } catch {
      localStorage.removeItem(classifierKey)
    }
  }
  const fresh = await httpApi.classifier()
  if (fresh === undefined) {
    setTimeout(() => void (live.peek() !== null && loadClassifier()), 2_000)
    return
  }
  classifier.value = fresh
  try {
    localStorage.setItem(classifierKey, JSON.stringify(fresh))
  } catch {
    // It is asked for again at the next start.
  }
}

// open puts the card into the address, so that back, reload and links work.
export function open(id: string | null): void {
  location.hash = id === null ? '#/' : `#/incident/${id}`
}

function route(): void {
  const m = /^#\/incident\/([0-9A-Za-z-]+)$/.exec(location.hash)
  openId.value = m?.[1] ?? null
  live.peek()?.watch(openId.peek())
}

let say: (i: Incident) => string = () => ''

// Words come from the page's part, which imports this one.
export function speakWith(f: (i: Incident) => string): void {
  say = f
}

function ring(incidents: readonly Incident[]): void {
  const [first] = incidents
  if (first === undefined) return
  sound.ring()
  announcement.value = incidents.length === 1 ? say(first) : t().urgent.many(incidents.length)
  unseen.value += incidents.length
}

export function attachToPage(): void {
  route()
  addEventListener('hashchange', route)
  const back = (): void => {
    live.peek()?.link.hurry()
    if (leaving.due()) void finishLeaving()
  }
  addEventListener('online', back)
  // Whoever leaves in one tab leaves in all.
  addEventListener('storage', (e) => {
    if (isLeavingMark(e) && phase.peek() === 'live') leave(false)
  })
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) back()
  })
  for (const kind of ['pointerdown', 'keydown'] as const) {
    addEventListener(
      kind,
      () => {
        sound.unlock()
        unseen.value = 0
      },
      true,
    )
  }
  // The title tells a person in another window; two words in turn, no colour.
  let lit = false
  setInterval(() => {
    lit = !lit && unseen.peek() > 0
    titleNow(lit)
  }, 1_000)
  effect(() => {
    void unseen.value
    titleNow(unseen.value > 0)
  })
}

function titleNow(lit: boolean): void {
  const title = lit ? t().urgent.title(unseen.peek()) : t().product
  if (document.title !== title) document.title = title
}
