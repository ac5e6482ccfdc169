const pad = require("left-pad");
console.log(pad("hello from node", 16));
