// Lets every server of the process listen on loopback alone.
import { Server } from 'node:net'

const { listen } = Server.prototype
Server.prototype.listen = function (first, ...rest) {
  const isPort = typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))
  return listen.call(this, isPort ? { host: '127.0.0.1', port: Number(first) } : first, ...rest)
}
