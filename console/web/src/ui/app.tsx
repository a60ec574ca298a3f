import { effect } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { lang, t } from '../i18n'
import { announcement, helpOpen, live, openId, phase } from '../store/app'
import type { Live } from '../store/live'
import { Board } from './board'
import { Card } from './card'
import { Header, StaleBanner } from './header'
import { Help } from './help'
import { Login } from './login'

effect(() => {
  document.documentElement.lang = lang.value
})

const Desk = ({ session }: { session: Live }) => {
  const stale = session.freshness.stale.value !== null
  const id = openId.value
  return (
    <div class={`desk ${stale ? 'is-stale' : ''} ${id !== null ? 'has-card' : ''}`} data-testid="desk" data-stale={stale}>
      <Header live={session} />
      <StaleBanner live={session} />
      <p class="sr" role="alert" data-testid="announcement">{announcement.value}</p>
      <main class="work">
        <Board live={session} />
        {id !== null && <Card key={id} live={session} id={id} />}
      </main>
      {helpOpen.value && <Help />}
    </div>
  )
}

export const App = () => {
  useEffect(() => {
    document.title = t().product
  }, [])
  const session = live.value
  if (phase.value === 'live' && session !== null) return <Desk key={session.me.login} session={session} />
  if (phase.value === 'login') return <Login />
  return (
    <main class="starting">
      <p role="status">{t().login.starting}</p>
    </main>
  )
}
