import { signal } from '@preact/signals'
import { readFrame } from '../model/read'
import type { ClientFrame, ServerFrame } from '../model/protocol'

// Link keeps one socket to the engine alive: it opens, reads, notices silence,
// and tries again with growing, random pauses, so that a thousand consoles do not
// come back in the same instant.

export interface Socket {
  send(data: string): void
  close(): void
  onopen: (() => void) | null
  onmessage: ((e: { data: unknown }) => void) | null
  onclose: ((e: { code: number }) => void) | null
}

export interface LinkPorts {
  openSocket(): Socket
  mono(): number
  random(): number
  // Is the session still good? A refused handshake looks like any other failure
  // to a browser, so this asks over HTTP.
  session(): Promise<'good' | 'gone' | 'unreachable'>
}

export interface LinkEvents {
  opened(): void
  frame(f: ServerFrame): void
  closed(code: number): void // 1006: it just broke
  sessionGone(): void
}

export type LinkState = 'connecting' | 'open' | 'waiting' | 'stopped'

const openTimeoutMs = 5_000
const firstPauseMs = 300
const mostPauseMs = 5_000
const goToLogin = 4001
const broken = 1006

export class Link {
  readonly state = signal<LinkState>('stopped')
  private socket: Socket | null = null
  private tries = 0
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly ports: LinkPorts,
    private readonly events: LinkEvents,
  ) {}

  start(): void {
    if (this.state.peek() !== 'stopped') return
    this.tries = 0
    this.connect()
  }

  stop(): void {
    clearTimeout(this.timer)
    this.state.value = 'stopped'
    this.drop()
  }

  send(f: ClientFrame): boolean {
    if (this.socket === null || this.state.peek() !== 'open') return false
    try {
      this.socket.send(JSON.stringify(f))
      return true
    } catch {
      return false
    }
  }

  // restart gives up a socket that is open by name only.
  restart(): void {
    if (this.state.peek() !== 'open') return
    this.drop()
    this.events.closed(broken)
    this.pause()
  }

  // hurry cuts a pause short: the network is back, the tab was opened again.
  hurry(): void {
    if (this.state.peek() !== 'waiting') return
    clearTimeout(this.timer)
    this.connect()
  }

  private drop(): void {
    const s = this.socket
    this.socket = null
    if (s === null) return
    s.onopen = s.onmessage = s.onclose = null
    s.close()
  }

  private connect(): void {
    this.state.value = 'connecting'
    let s: Socket
    try {
      s = this.ports.openSocket()
    } catch {
      this.pause()
      return
    }
    this.socket = s
    this.timer = setTimeout(() => {
      this.drop()
      this.pause()
    }, openTimeoutMs)
    s.onopen = () => {
      clearTimeout(this.timer)
      this.state.value = 'open'
      this.events.opened()
    }
    s.onmessage = (e) => {
      if (typeof e.data !== 'string') return
      const frame = readFrame(e.data)
      if (frame === undefined) return
      if (frame.t === 'hello') this.tries = 0
      this.events.frame(frame)
    }
    s.onclose = (e) => {
      clearTimeout(this.timer)
      this.socket = null
      const wasOpen = this.state.peek() === 'open'
      if (wasOpen) this.events.closed(e.code)
      if (e.code === goToLogin) this.end()
      else this.pause()
    }
  }

  private end(): void {
    this.stop()
    this.events.sessionGone()
  }

  private pause(): void {
    this.state.value = 'waiting'
    const most = Math.min(mostPauseMs, firstPauseMs * 2 ** this.tries)
    this.tries = Math.min(this.tries + 1, 10)
    this.timer = setTimeout(() => void this.again(), most / 2 + this.ports.random() * (most / 2))
  }

  private async again(): Promise<void> {
    if (this.state.peek() !== 'waiting') return
    if (this.tries > 1) {
      const session = await this.ports.session()
      if (this.state.peek() !== 'waiting') return
      if (session === 'gone') {
        this.end()
        return
      }
      if (session === 'unreachable') {
        this.pause()
        return
      }
    }
    this.connect()
  }
}
