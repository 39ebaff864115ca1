// What a page does better with a script; without it, every page works.
