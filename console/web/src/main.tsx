import { render } from 'preact'
import './styles/fonts.css'
import './styles/base.css'
import './styles/board.css'
import './styles/card.css'
import { attachToPage, speakWith, start } from './store/app'
import { App } from './ui/app'
import { attachKeys } from './ui/keys'
import { what, where } from './ui/words'
import { t } from './i18n'

const root = document.getElementById('app')
if (root !== null) {
  speakWith((i) => t().urgent.one(what(i), where(i)))
  attachToPage()
  attachKeys()
  render(<App />, root)
  void start()
}
