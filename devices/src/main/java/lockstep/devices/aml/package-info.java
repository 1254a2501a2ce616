/** ACPI machine language, in which devices tell an operating system of themselves. */
package lockstep.devices.aml;
