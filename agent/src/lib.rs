/*!
The agent: walks a Release through its steps, watches what real users got, and goes back on evidence.
*/
pub mod demo;
pub mod mesh;
pub mod release;
pub mod rollout;
