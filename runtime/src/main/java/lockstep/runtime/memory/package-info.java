/** Guest memory: RAM blocks, the address spaces that map them, dirty tracking. */
package lockstep.runtime.memory;
