"use strict";
// Parallax of a picture: its pixels move by their nearness as the pointer moves. The view ray of each screen
// pixel is followed from near to far until it meets the surface (relief mapping), so that near things cover far ones.
const RAY = `precision highp float;
varying vec2 at;
uniform sampler2D photo, near;
uniform vec2 shift;
void main() {
  vec2 hit = at, before = at;
  float above = 0.0;
  for (int step = 0; step <= 96; step++) {
    float level = 1.0 - float(step) / 96.0;
    hit = clamp(at + shift * (level - 0.5), 0.0, 1.0);
    float below = texture2D(near, hit).r - level;
    if (below >= 0.0) { hit = mix(hit, before, below / max(below + above, 1e-4)); break; }
    before = hit;
    above = -below;
  }
  gl_FragColor = texture2D(photo, hit);
}`;
const CORNERS =
  "attribute vec2 corner; varying vec2 at; void main() { at = vec2(corner.x + 1.0, 1.0 - corner.y) / 2.0; gl_Position = vec4(corner, 0.0, 1.0); }";
const REACH = 0.035; // how far near and far part at the most, of the picture's width

// Returns the function that turns the view, (x, y) in -1..1, or null where the browser draws no WebGL.
function parallax(canvas, photo, near) {
  const gl = canvas.getContext("webgl");
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, CORNERS],
    [gl.FRAGMENT_SHADER, RAY],
  ]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
  gl.enableVertexAttribArray(gl.getAttribLocation(program, "corner"));
  gl.vertexAttribPointer(gl.getAttribLocation(program, "corner"), 2, gl.FLOAT, false, 0, 0);
  [photo, near].forEach((image, unit) => {
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    for (const [name, value] of [
      [gl.TEXTURE_MIN_FILTER, gl.LINEAR],
      [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
    ])
      gl.texParameteri(gl.TEXTURE_2D, name, value);
    gl.uniform1i(gl.getUniformLocation(program, unit ? "near" : "photo"), unit);
  });
  const shift = gl.getUniformLocation(program, "shift");
  return (x, y) => {
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.uniform2f(shift, x * REACH, (y * REACH * canvas.width) / canvas.height);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  };
}
