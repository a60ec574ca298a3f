import { lang, setLang, t, type Lang } from '../i18n'
import { helpOpen, logout, unseen } from '../store/app'
import type { Live } from '../store/live'
import * as sound from '../store/sound'
import { Hint } from './bits'
import { SignIcon } from './icons'
import { goToNext } from './moves'
import { clockTime, serviceLong } from './words'

export const LangSwitch = () => (
  <div class="lang" role="group" aria-label={t().header.language}>
    {(['ru', 'en'] as readonly Lang[]).map((l) => (
      <button key={l} type="button" lang={l} aria-pressed={lang.value === l} data-testid={`lang-${l}`} onClick={() => setLang(l)}>
        {l === 'ru' ? 'RU' : 'EN'}
      </button>
    ))}
    <Hint k="L" />
  </div>
)

const Clock = ({ live }: { live: Live }) => (
  <time class="clock num" data-testid="clock" aria-label={t().header.serverTime} title={t().header.serverTime}>
    {clockTime(live.now.value)}
  </time>
)

const Connection = ({ live }: { live: Live }) => {
  const words = t().header
  const stale = live.freshness.stale.value
  const link = live.link.state.value
  const good = stale === null
  const text = good ? words.open : link === 'open' ? words.behind : link === 'connecting' ? words.connecting : words.waiting
  return (
    <span class={`connection ${good ? 'is-good' : 'is-bad'}`} data-testid="connection" data-state={good ? 'live' : 'stale'}>
      <SignIcon sign={good ? 'plug' : 'unplugged'} />
      {text}
    </span>
  )
}

const SoundSwitch = () => {
  const words = t().header
  const ready = sound.unlocked.value
  const text = !sound.on.value ? words.soundOff : ready ? words.soundOn : words.soundLocked
  return (
    <button type="button" class="quiet" aria-pressed={sound.on.value} data-testid="sound" onClick={() => sound.toggle()} title={text}>
      <SignIcon sign={sound.on.value ? 'sound' : 'mute'} />
      <span class="sound-text">{text}</span>
      <Hint k="M" />
    </button>
  )
}

export const Header = ({ live }: { live: Live }) => {
  const words = t().header
  const me = live.me
  const waiting = live.waiting.value.length
  const unsent = live.outbox.pending.value.size
  return (
    <header class="top">
      <a class="skip" href="#board" onClick={(e) => { e.preventDefault(); document.getElementById('board')?.focus() }}>
        {words.skip}
      </a>
      <h1 class="brand">{t().product}</h1>
      <span class="who" data-testid="me" data-login={me.login} data-role={me.role}>
        <b>{me.name || me.login}</b>
        <span class="muted-dark">
          {t().roles[me.role]}
          {me.service !== '' && ` · ${serviceLong(me.service)}`}
        </span>
      </span>
      <button type="button" class={`waiting ${waiting > 0 ? 'has' : ''} ${unseen.value > 0 ? 'fresh' : ''}`} data-testid="waiting"
        data-count={waiting} disabled={waiting === 0} onClick={() => goToNext(live)} title={words.next}>
        {words.waitingForMe(waiting)}
        <Hint k="N" />
      </button>
      <span class="grow" />
      {unsent > 0 && (
        <span class="unsent" data-testid="unsent">
          {words.unsent(unsent)}
        </span>
      )}
      <Connection live={live} />
      <Clock live={live} />
      <SoundSwitch />
      <LangSwitch />
      <button type="button" class="quiet" data-testid="help" aria-label={words.help} onClick={() => (helpOpen.value = true)}>
        <span class="help-text">{words.help}</span>
        <span class="help-mark" aria-hidden="true">?</span>
        <Hint k="?" />
      </button>
      <button type="button" class="quiet" data-testid="logout" onClick={() => void logout()}>
        {words.out}
      </button>
    </header>
  )
}

// The banner is always in the page, so that a screen reader hears it appear.
export const StaleBanner = ({ live }: { live: Live }) => {
  const stale = live.freshness.stale.value
  const words = t().stale
  const text =
    stale === null ? '' : stale.since === undefined ? words.never
      : stale.reason === 'behind' ? words.behind(clockTime(stale.since)) : words.since(clockTime(stale.since))
  return (
    <div class={stale === null ? 'stale is-off' : 'stale'} role="alert" data-testid="stale-banner"
      data-on={stale !== null} data-reason={stale?.reason ?? ''}>
      {stale !== null && (
        <>
          <SignIcon sign="warning" />
          <b>{text}</b>
          <span>{words.advice}</span>
        </>
      )}
    </div>
  )
}
