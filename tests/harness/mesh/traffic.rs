/*!
Users of a shop in the mesh, and what became of every single request.
*/
