Not Java.
